"""Stores the latest result of every row in a JSON file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.serving import ROOT

FILE = ROOT / "docs" / "reliability.json"


@dataclass(frozen=True)
class Result:
    """A row's latest result: the verdict, its figures, the run and machine they come from, and its duration."""

    verdict: str
    figures: str
    run: str
    machine: str
    seconds: int


def load(path: Path) -> dict[str, Result]:
    """Read the results; empty if there is no file yet.

    Raises:
        msgspec.ValidationError: the file has another structure.
    """
    if not path.exists():
        return {}
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Result])


def save(path: Path, results: Mapping[str, Result]) -> None:
    """Write the results atomically, so that an interrupted run keeps those of its finished rows."""
    ordered = dict(sorted(results.items(), key=lambda item: (item[0][0], int(item[0][1:]))))
    written = path.with_suffix(".partial")
    written.write_bytes(msgspec.json.format(msgspec.json.encode(ordered), indent=1) + b"\n")
    written.replace(path)
