"""A promise, and how the tables of promises name what shows it."""

from dataclasses import dataclass

from tests.reliability.evidence import Checks, Evidence

FAULTS, CONTRACT, UNIT = "tests/faults", "tests/contract", "tests/unit/server"


@dataclass(frozen=True)
class Row:
    """A promise by its id, whose letter is the part of the page that it stands in."""

    id: str
    promise: str
    evidence: tuple[Evidence, ...]


def often(*nodes: str) -> Checks:
    """Name seeded tests, which are run many times."""
    return Checks(nodes, seeded=True)


def once(*nodes: str) -> Checks:
    """Name tests."""
    return Checks(nodes)


def stores(*nodes: str) -> Checks:
    """Name tests that need the stores' clients."""
    return Checks(nodes, "stores")
