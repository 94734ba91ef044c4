"""The limits and shared state of all connections."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from server.connection.connection_limit import ConnectionLimit
from server.connection.write_backlog import WriteBacklog
from server.errors import ServiceError
from server.serving_state import ServingState
from server.settings import Settings
from server.system.memory import Memory

# Bytes on the wire per byte of body allowed: chunked framing adds some, and a refused body is still read and discarded.
WIRE_FACTOR = 4


class ErrorAnswer(Protocol):
    """The response to an error; Starlette's `Response` implements it."""

    @property
    def status_code(self) -> int:
        """The HTTP status."""

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The header fields, names in lower case."""

    @property
    def body(self) -> bytes | memoryview:
        """The body."""


@dataclass(slots=True)
class ConnectionBounds:
    """Limits in bytes and seconds, and the objects that connections share.

    `refused` is called for every request that never reaches the application; `answer` renders its error for the
    requested path.
    """

    max_header_bytes: int
    max_wire_bytes: int
    receive_timeout_s: float
    connections: ConnectionLimit
    memory: Memory
    state: ServingState
    refused: Callable[[ServiceError], None]
    answer: Callable[[ServiceError, str], ErrorAnswer]
    unread: WriteBacklog = field(init=False)

    def __post_init__(self) -> None:
        self.unread = WriteBacklog(self.memory, self.receive_timeout_s)

    @classmethod
    def of(
        cls,
        settings: Settings,
        connections: ConnectionLimit,
        memory: Memory,
        state: ServingState,
        refused: Callable[[ServiceError], None],
        answer: Callable[[ServiceError, str], ErrorAnswer],
    ) -> "ConnectionBounds":
        """Create the bounds from the settings."""
        max_wire_bytes = settings.max_header_bytes + WIRE_FACTOR * settings.max_body_bytes
        limits = settings.max_header_bytes, max_wire_bytes, settings.receive_timeout_s
        return cls(*limits, connections, memory, state, refused, answer)
