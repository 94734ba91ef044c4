"""Parses the documents: blocks, commands, headings, links and names. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.serving import ROOT

PAGES = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "models" / "README.md")
_BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
# The beginning of an inline command that belongs to the project.
_OURS = re.compile(r"(?:make|docker compose|kubectl|python -m|\.venv[a-z-]*/bin/python) \S")


@dataclass(frozen=True)
class Block:
    """A fenced block: its position, its language, and its text without indentation."""

    page: str
    section: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command of a block, without its trailing comment."""

    block: Block
    text: str

    def __str__(self) -> str:
        return f"{self.block.page}: {self.text[:70]}"


def blocks(language: str = "") -> list[Block]:
    """Return all fenced blocks, or those of one language."""
    fenced = [block for page in PAGES for block in blocks_of(page)]
    return [block for block in fenced if not language or block.language == language]


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page in order."""
    text = page.read_text("utf-8")
    for match in _BLOCK.finditer(text):
        lines = [line.removeprefix(match["indent"]) for line in match["text"].splitlines()]
        line = text.count("\n", 0, match.start()) + 1
        section = re.findall(r"^#+ (.+)$", text[: match.start()], re.MULTILINE)[-1]
        yield Block(page.relative_to(ROOT).as_posix(), section, line, match["language"], "\n".join(lines))


def commands() -> list[Command]:
    """Return the commands of all bash blocks."""
    return [command for block in blocks("bash") for command in commands_of(block)]


def commands_of(block: Block) -> list[Command]:
    """Return the commands of a bash block."""
    lines = block.text.replace("\\\n", " ").splitlines()
    bare = [re.sub(r"(^|\s+)# .*$", "", line).strip() for line in lines]
    return [Command(block, line) for line in bare if line]


def inline_commands() -> list[tuple[str, str]]:
    """Return inline commands, each with its page."""
    return [(page.name, span) for page in PAGES for span in spans(page) if _OURS.match(span)]


def spans(page: Path) -> list[str]:
    """Return the code spans of a page, outside fenced blocks."""
    prose = _BLOCK.sub("", page.read_text("utf-8"))
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]


def links(page: Path) -> list[str]:
    """Return the targets of a page's links and images."""
    prose = _BLOCK.sub("", page.read_text("utf-8"))
    return re.findall(r"\]\(([^)\s]+)\)", prose)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings: lower case, without punctuation, spaces as hyphens."""
    headings = re.findall(r"^#+ (.+)$", _BLOCK.sub("", page.read_text("utf-8")), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.strip().lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}
