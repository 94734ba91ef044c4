"""The last results of every row, in a file beside the page that shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.serving import ROOT

FILE = ROOT / "docs" / "reliability.json"


@dataclass(frozen=True)
class Result:
    """What a row found the last time: the verdict, its figures, which run gave them, on what, and the seconds."""

    verdict: str
    figures: str
    run: str
    machine: str
    seconds: int


def load(path: Path) -> dict[str, Result]:
    """Read the results; none where there is no file yet.

    Raises:
        msgspec.ValidationError: the file holds something else.
    """
    if not path.exists():
        return {}
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Result])


def save(path: Path, results: Mapping[str, Result]) -> None:
    """Write the results whole, so that a run that ends half way leaves those of the rows that it did."""
    ordered = dict(sorted(results.items(), key=lambda item: (item[0][0], int(item[0][1:]))))
    written = path.with_suffix(".partial")
    written.write_bytes(msgspec.json.format(msgspec.json.encode(ordered), indent=1) + b"\n")
    written.replace(path)
