"""Rows of the tables of promises, and constructors for their evidence."""

from dataclasses import dataclass

from tests.reliability.evidence import Checks, Evidence

FAULTS, CONTRACT, UNIT = "tests/faults", "tests/contract", "tests/unit/server"


@dataclass(frozen=True)
class Row:
    """A promise; the letter of its id is the part of the page that lists it."""

    id: str
    promise: str
    evidence: tuple[Evidence, ...]


def often(*nodes: str) -> Checks:
    """Return seeded tests, which are repeated, as evidence."""
    return Checks(nodes, seeded=True)


def once(*nodes: str) -> Checks:
    """Return tests as evidence."""
    return Checks(nodes)


def stores(*nodes: str) -> Checks:
    """Return tests that need the stores' clients as evidence."""
    return Checks(nodes, "stores")
