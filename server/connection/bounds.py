"""What holds for every connection of a server."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from server.connection.connection_limit import ConnectionLimit
from server.connection.write_backlog import WriteBacklog
from server.errors import ServiceError
from server.serving_state import ServingState
from server.settings import Settings
from server.system.memory import Memory

# On the wire a body may take this many times its bound: chunks have frames, and what was refused is read to its end.
WIRE_FACTOR = 4


class ErrorAnswer(Protocol):
    """What is said of an error; Starlette's responses are such."""

    @property
    def status_code(self) -> int:
        """The status."""

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The fields, names in lower case."""

    @property
    def body(self) -> bytes | memoryview:
        """The body."""


@dataclass(slots=True)
class ConnectionBounds:
    """Bounds in bytes and seconds, and what connections share.

    `refused` hears of every request that never reaches the application; `answer` says what its caller is told, by the
    path that was asked for.
    """

    max_header_bytes: int
    max_wire_bytes: int
    receive_timeout_s: float
    room: ConnectionLimit
    memory: Memory
    state: ServingState
    refused: Callable[[ServiceError], None]
    answer: Callable[[ServiceError, str], ErrorAnswer]
    unread: WriteBacklog = field(init=False)

    def __post_init__(self) -> None:
        self.unread = WriteBacklog(self.memory)

    @classmethod
    def of(
        cls,
        settings: Settings,
        room: ConnectionLimit,
        memory: Memory,
        state: ServingState,
        refused: Callable[[ServiceError], None],
        answer: Callable[[ServiceError, str], ErrorAnswer],
    ) -> "ConnectionBounds":
        """Terms by the settings."""
        max_wire_bytes = settings.max_header_bytes + WIRE_FACTOR * settings.max_body_bytes
        limits = settings.max_header_bytes, max_wire_bytes, settings.receive_timeout_s
        return cls(*limits, room, memory, state, refused, answer)
