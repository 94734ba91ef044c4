"""Read the texts for fidelity measurement and int8 calibration: the project's or the user's."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from build.errors import BuildError

OWN = Path(__file__).parent / "data" / "fidelity.jsonl"
# Disjoint from the fidelity texts: static int8 must not be evaluated on its calibration data.
CALIBRATION = OWN.with_name("calibration.jsonl")
_FEWEST = 50


@dataclass(frozen=True)
class Texts:
    """Texts and the SHA-256 of their file."""

    items: list[str]
    sha256: str


def read(path: Path = OWN) -> Texts:
    """Read a `.jsonl` file (one object with `text`, or one string, per line) or a file of plain lines.

    Raises:
        BuildError: unreadable, malformed, or fewer than 50 texts, too few for a 1st percentile.
    """
    try:
        data = path.read_bytes()
        items = list(_texts(path, data.decode("utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"the texts cannot be read: {error}") from error
    if len(items) < _FEWEST:
        raise BuildError(f"{path} holds {len(items)} texts; at least {_FEWEST} are needed to measure or calibrate on")
    return Texts(items, hashlib.sha256(data).hexdigest())


def _texts(path: Path, content: str) -> Iterator[str]:
    # Not splitlines(): JSON strings may contain U+2028 and other line separators.
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        yield line if path.suffix != ".jsonl" else _from_json(path, number, line)


def _from_json(path: Path, number: int, line: str) -> str:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise BuildError(f"{path}, line {number}: not JSON: {error}") from error
    text = value.get("text") if isinstance(value, dict) else value
    if not isinstance(text, str) or not text.strip():
        raise BuildError(f"{path}, line {number}: expected a string, or an object with a non-empty `text`")
    return text
