"""How much memory requests may hold together: what is granted, less what the warm server holds, less one peak."""

import logging
from dataclasses import dataclass
from typing import Protocol

from server.errors import StartError
from server.model.tokenization import BYTES_PER_CHARACTER, SLICE_CHARACTERS
from server.settings import Settings
from server.system import machine
from server.system.memory import CONNECTION_BYTES, LARGE_SHARE, MEGABYTE

logger = logging.getLogger(__name__)

# More than this nobody needs: some thousand stalled callers, or a hundred of the largest requests.
MOST_BYTES = 1024 * MEGABYTE
# A body's JSON takes at most so many times its length while it is read: numbers of four digits, a comma after each.
# `server.api.dialects.body` refuses what would take more.
PARSED_FACTOR = 10
# A component of a vector written as JSON, with what writing it takes.
ANSWER_BYTES = 24
# What fragments of the heap, threads' stacks and the rest may add.
SLACK_BYTES = 16 * MEGABYTE
# What all connections that may be open have at most, before what comes on them.
CONNECTIONS_SHARE = 1 / 8


class Shape(Protocol):
    """What counts of a model."""

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        ...

    @property
    def max_tokens(self) -> int:
        """Tokens that it reads of a text."""
        ...


@dataclass(frozen=True, slots=True)
class Budget:
    """What requests may hold, how many connections may be open, and where it comes from; the rest in bytes."""

    limit: int
    connections: int
    granted: int
    source: str
    resident: int
    peak: int

    def __str__(self) -> str:
        share = self.connections * CONNECTION_BYTES
        limit, granted, resident, share, peak = (
            round(size / MEGABYTE) for size in (self.limit, self.granted, self.resident, share, self.peak)
        )
        return (
            f"memory for requests {limit} MB: of {granted} MB ({self.source}) the server holds {resident} MB, "
            f"{self.connections} connections take {share} MB, and {peak} MB are kept for the peak of a single request"
        )


def plan(settings: Settings, shape: Shape, warm: machine.Held, connections: int) -> Budget:
    """Work out the budget of a server that is `warm`, for a model of some `shape`, with so many `connections` or fewer.

    Raises:
        StartError: the largest request that the settings allow would not fit.
    """
    granted, source = _granted(settings)
    peak = peak_bytes(settings, shape) + cache_bytes(settings, shape)
    left = granted - warm.resident - peak
    if (address_space := machine.address_space_limit()) is not None:
        left = min(left, address_space - warm.virtual - peak)
    least = int(largest_bytes(settings) / (1 - CONNECTIONS_SHARE))
    if left < least:
        raise StartError(_too_little(granted, source, granted + least - left))
    left = min(left, MOST_BYTES)
    fitting = fit_connections(connections, left)
    return Budget(left - fitting * CONNECTION_BYTES, fitting, granted, source, warm.resident, peak)


def largest_bytes(settings: Settings) -> int:
    """Return the limit under which one request of the largest kind still fits."""
    return int(PARSED_FACTOR * settings.max_body_bytes / LARGE_SHARE) + 1


def peak_bytes(settings: Settings, shape: Shape) -> int:
    """Return what reading one body, tokenizing one slice and writing one answer take for a moment."""
    tokenizing = BYTES_PER_CHARACTER * max(SLICE_CHARACTERS, settings.max_text_chars)
    answering = ANSWER_BYTES * shape.dimension * settings.max_client_batch_size
    return PARSED_FACTOR * settings.max_body_bytes + tokenizing + answering + SLACK_BYTES


def cache_bytes(settings: Settings, shape: Shape) -> int:
    """Return what the cache of vectors takes when it is full: each with its ids, and 300 bytes around them."""
    return settings.cache_entries * (4 * shape.dimension + 8 * shape.max_tokens + 300)


def fit_connections(wanted: int, limit: int) -> int:
    """Return how many connections may be open under a budget of `limit` bytes, `wanted` at most and 1 at least."""
    room = max(1, int(limit * CONNECTIONS_SHARE) // CONNECTION_BYTES)
    if room < wanted:
        logger.warning(
            "MAX_CONNECTIONS=%d is lowered to %d: they get an eighth of the %d MB that the warm server leaves",
            *(wanted, room, round(limit / MEGABYTE)),
        )
    return min(wanted, room)


def _granted(settings: Settings) -> tuple[int, str]:
    # A system that does not tell what it has is taken to have enough.
    found = machine.memory_limit() or 64 * MOST_BYTES
    if settings.memory_mb is not None and settings.memory_mb * MEGABYTE <= found:
        return settings.memory_mb * MEGABYTE, "MEMORY_MB"
    return found, "the container's limit or the machine's memory"


def _too_little(granted: int, source: str, needed: int) -> str:
    return (
        f"{granted // MEGABYTE} MB of memory ({source}) are too little for the largest request that is allowed: the "
        f"warm server and one such request need {-(-needed // MEGABYTE)} MB. Grant that much, or lower MAX_BODY_BYTES "
        "and MAX_TEXT_CHARS"
    )
