"""A model's card: what was read of its source, and where."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from build import known_settings, page
from build.inspection import Reading
from build.layers import DenseLayer, ScaleLayer, UnitLayer
from build.page import Rows, Section

_LAYERS: Mapping[type, str] = {DenseLayer: "Dense", ScaleLayer: "LayerNorm", UnitLayer: "Normalize"}


@dataclass(frozen=True)
class Card:
    """The card of one model; equal sources and figures give equal cards, whatever the day and the machine."""

    name: str
    sections: Sequence[Section]

    def text(self) -> str:
        """The card for a terminal."""
        return page.text(self.name, self.sections)


def of_source(reading: Reading) -> Card:
    """What is read of a source."""
    return Card(reading.snapshot.name, [_source(reading), _files_read(reading)])


def _source(reading: Reading) -> Section:
    snapshot, settings = reading.snapshot, reading.settings
    rows = [
        ("model", snapshot.id, snapshot.kind),
        ("revision", snapshot.revision, "the files' hashes" if snapshot.kind == "folder" else ""),
        ("licence", snapshot.licence, {"hub": "the Hub", "folder": "README.md"}.get(snapshot.kind, "")),
        ("architecture", reading.architecture, "config.json"),
        ("pooling", settings.pooling.name, settings.pooling_file or "named for the build (--pooling)"),
        *([] if settings.pooling.include_prompt else [("prompt pooled", "no", settings.pooling_file or "")]),
        *(("layer behind pooling", _LAYERS[type(layer)], known_settings.MODULES) for layer in settings.layers),
        ("unit length", "yes" if settings.normalizes else "no, the graph adds it", known_settings.MODULES),
        ("longest text", f"{settings.max_tokens} tokens", "the least of these"),
        *(("limit", _limit(tokens), where) for where, tokens in settings.limits.items()),
        *_prompts(reading),
    ]
    return Section("What was read", [Rows(("setting", "value", "from"), rows)])


def _limit(tokens: int) -> str:
    # Tokenizers without a limit have a number of this size.
    return f"{tokens} tokens" if tokens < 1_000_000_000 else "none"


def _prompts(reading: Reading) -> Iterator[tuple[str, str, str]]:
    settings = reading.settings
    if not settings.prompts:
        yield "prompts", "none", ""
    for name, prompt in settings.prompts.items():
        where = "its card on the Hub" if name in settings.from_card else known_settings.SENTENCE
        yield f"prompt {name}", f'"{prompt}"', where
    if settings.default_prompt_name:
        yield "default prompt", settings.default_prompt_name, known_settings.SENTENCE


def _files_read(reading: Reading) -> Section:
    folder, files = reading.snapshot.folder, reading.snapshot.files
    rows = [(name, f"{(folder / name).stat().st_size:,}", digest) for name, digest in files.items()]
    return Section("Files read", [Rows(("file", "bytes", "SHA-256"), rows)])
