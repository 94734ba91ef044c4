"""The texts that fidelity is measured on and int8 calibrated on: the project's own, or the user's."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from build.errors import BuildError

OWN = Path(__file__).parent / "data" / "fidelity.jsonl"
# Others than those that fidelity is measured on: else static int8 would be judged on what it was fitted to.
CALIBRATION = OWN.with_name("calibration.jsonl")
_FEWEST = 50


@dataclass(frozen=True)
class Texts:
    """A list of texts and the SHA-256 of the file they were read from."""

    items: list[str]
    sha256: str


def read(path: Path = OWN) -> Texts:
    """Read a `.jsonl` file (an object with `text`, or a string, on each line) or a file of plain lines.

    Raises:
        BuildError: unreadable, malformed, or fewer than 50 texts (a 1st percentile of fewer means nothing).
    """
    try:
        raw = path.read_bytes()
        items = list(_texts(path, raw.decode("utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"the texts cannot be read: {error}") from error
    if len(items) < _FEWEST:
        raise BuildError(f"{path} holds {len(items)} texts; at least {_FEWEST} are needed to measure or calibrate on")
    return Texts(items, hashlib.sha256(raw).hexdigest())


def _texts(path: Path, content: str) -> Iterator[str]:
    # Not splitlines(): a text may hold U+2028 and other separators that JSON leaves as they are.
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
