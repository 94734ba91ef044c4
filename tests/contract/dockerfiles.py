"""Minimal parsers of Dockerfiles and .dockerignore for the tests."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch

from tests.serving import ROOT

DOCKERFILES = ("Dockerfile.cpu", "Dockerfile.gpu")


@dataclass
class Stage:
    """A stage of a Dockerfile: its base as written, and its instructions as (verb, arguments)."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, verb: str) -> list[str]:
        return [rest for step, rest in self.steps if step == verb]

    def one(self, verb: str) -> str:
        (rest,) = self.all(verb)
        return rest


def instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        verb, _, rest = line.partition(" ")
        yield verb, " ".join(rest.split())


def stages(file: str) -> tuple[list[tuple[str, str]], dict[str, Stage]]:
    """Split a Dockerfile into the instructions before its first stage, and its stages by name in order."""
    head: list[tuple[str, str]] = []
    by_name: dict[str, Stage] = {}
    for verb, rest in instructions((ROOT / file).read_text("utf-8")):
        if verb == "FROM":
            base, _, name = rest.partition(" AS ")
            by_name[name] = stage = Stage(base, name)
        elif not by_name:
            head.append((verb, rest))
        else:
            stage.steps.append((verb, rest))
    return head, by_name


def image_environment(runtime: Stage) -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S+)", " ".join(runtime.all("ENV"))))


def sources(stage: Stage) -> list[str]:
    """Return the paths that a stage copies from the build context."""
    copied = (rest.split() for rest in stage.all("COPY") if not rest.startswith("--from"))
    return [path for words in copied for path in words[:-1]]


def arguments(steps: list[tuple[str, str]]) -> dict[str, str]:
    return {name: value for verb, rest in steps if verb == "ARG" for name, _, value in [rest.partition("=")]}


def enters_context(path: str) -> bool:
    """Return whether .dockerignore includes `path`: the last pattern that matches it or a parent decides."""
    allowed = True
    parts = path.strip("/").split("/")
    candidates = ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.strip().removeprefix("!")
        if pattern and not pattern.startswith("#") and any(ignore_match(pattern, one) for one in candidates):
            allowed = line.startswith("!")
    return allowed


def ignore_match(pattern: str, path: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch(path.rsplit("/", 1)[-1], pattern.removeprefix("**/"))
    return pattern.count("/") == path.count("/") and fnmatch(path, pattern)
