"""Computes the memory budget of requests: the memory granted, less the warm server's, less one request's peak."""

import logging
from dataclasses import dataclass
from typing import Protocol

from server.errors import StartError
from server.model.tokenization import BYTES_PER_CHARACTER, SLICE_CHARACTERS
from server.service.output import RESERVED_BYTES
from server.settings import Settings
from server.system import machine
from server.system.memory import CONNECTION_BYTES, LARGE_SHARE, MEGABYTE

logger = logging.getLogger(__name__)

# Upper bound of the budget: enough for some thousand stalled callers, or a hundred of the largest requests.
MOST_BYTES = 1024 * MEGABYTE
# Maximum memory to parse a JSON body, as a multiple of its length: reached by comma-separated four-digit numbers.
# `server.api.dialects.body` refuses bodies that would need more.
PARSED_FACTOR = 10
# Allowance for heap fragmentation, thread stacks and the like.
SLACK_BYTES = 16 * MEGABYTE
# Maximum share of the memory for the warm server, where more streams would take more.
ENGINE_SHARE = 0.7
# Maximum share of the budget for the connections themselves, without their requests.
CONNECTIONS_SHARE = 1 / 8


class ModelShape(Protocol):
    """The attributes of a model that determine memory use."""

    @property
    def dimension(self) -> int:
        """Number of components of a vector."""
        ...

    @property
    def max_tokens(self) -> int:
        """Maximum length of a text in tokens."""
        ...


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """The limit for requests and the number of connections, and what they derive from; sizes in bytes."""

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


def plan(settings: Settings, shape: ModelShape, warm: machine.HeldMemory, connections: int) -> MemoryBudget:
    """Compute the budget from the memory that the `warm` server holds, for `connections` or as many as fit.

    Raises:
        StartError: the largest request that the settings allow does not fit.
    """
    granted, source = _granted(settings)
    peak = peak_bytes(settings, shape) + cache_bytes(settings, shape)
    left = granted - warm.resident - peak
    if (address_space := machine.address_space_limit()) is not None:
        left = min(left, address_space - warm.virtual - peak)
    least = _least_bytes(settings)
    if left < least:
        raise StartError(_too_little(granted, source, granted + least - left))
    left = min(left, MOST_BYTES)
    fitting = fit_connections(connections, left)
    return MemoryBudget(left - fitting * CONNECTION_BYTES, fitting, granted, source, warm.resident, peak)


def engine_bytes(settings: Settings, shape: ModelShape) -> int:
    """Return what the warm server may hold so that `plan` has room for requests: at most ENGINE_SHARE of the memory."""
    granted, _ = _granted(settings)
    needed = peak_bytes(settings, shape) + cache_bytes(settings, shape) + _least_bytes(settings)
    return min(int(ENGINE_SHARE * granted), granted - needed)


def _least_bytes(settings: Settings) -> int:
    return int(largest_bytes(settings) / (1 - CONNECTIONS_SHARE))


def largest_bytes(settings: Settings) -> int:
    """Return the smallest limit that holds one request of the maximum size."""
    return int(PARSED_FACTOR * settings.max_body_bytes / LARGE_SHARE) + 1


def peak_bytes(settings: Settings, shape: ModelShape) -> int:
    """Return the transient memory to parse one body, tokenize one slice and serialize one response."""
    tokenizing = BYTES_PER_CHARACTER * max(SLICE_CHARACTERS, settings.max_text_chars)
    answering = RESERVED_BYTES * shape.dimension * settings.max_client_batch_size
    return PARSED_FACTOR * settings.max_body_bytes + tokenizing + answering + SLACK_BYTES


def cache_bytes(settings: Settings, shape: ModelShape) -> int:
    """Return the size of a full vector cache: each entry is a vector, its ids and 300 bytes of overhead."""
    return settings.cache_entries * (4 * shape.dimension + 8 * shape.max_tokens + 300)


def fit_connections(wanted: int, limit: int) -> int:
    """Return how many connections fit into a budget of `limit` bytes, from 1 to `wanted`."""
    room = max(1, int(limit * CONNECTIONS_SHARE) // CONNECTION_BYTES)
    if room < wanted:
        logger.warning(
            "MAX_CONNECTIONS=%d is lowered to %d: they get an eighth of the %d MB that the warm server leaves",
            *(wanted, room, round(limit / MEGABYTE)),
        )
    return min(wanted, room)


def _granted(settings: Settings) -> tuple[int, str]:
    # If the system does not report its memory, it is assumed to have enough.
    available = machine.memory_limit() or 64 * MOST_BYTES
    if settings.memory_mb is not None and settings.memory_mb * MEGABYTE <= available:
        return settings.memory_mb * MEGABYTE, "MEMORY_MB"
    return available, "the container's limit or the machine's memory"


def _too_little(granted: int, source: str, needed: int) -> str:
    return (
        f"{granted // MEGABYTE} MB of memory ({source}) are too little for the largest request that is allowed: the "
        f"warm server and one such request need {-(-needed // MEGABYTE)} MB. Grant that much, or lower MAX_BODY_BYTES "
        "and MAX_TEXT_CHARS"
    )
