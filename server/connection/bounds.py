"""What holds for every connection of a server."""

from collections.abc import Callable
from dataclasses import dataclass, field

from server.connection.connection_limit import ConnectionLimit
from server.connection.write_backlog import WriteBacklog
from server.errors import ServiceError
from server.settings import Settings
from server.system.memory import Memory

# On the wire a body may take this many times its bound: chunks have frames, and what was refused is read to its end.
WIRE_FACTOR = 4


@dataclass(slots=True)
class ConnectionBounds:
    """Bounds in bytes and seconds, and what connections share."""

    max_header_bytes: int
    max_wire_bytes: int
    receive_timeout_s: float
    room: ConnectionLimit
    memory: Memory
    refused: Callable[[ServiceError], None]
    draining: bool = False
    unread: WriteBacklog = field(init=False)

    def __post_init__(self) -> None:
        self.unread = WriteBacklog(self.memory)

    @classmethod
    def of(
        cls, settings: Settings, room: ConnectionLimit, memory: Memory, refused: Callable[[ServiceError], None]
    ) -> "ConnectionBounds":
        """Terms by the settings; `refused` hears of every request that never reaches the application."""
        max_wire_bytes = settings.max_header_bytes + WIRE_FACTOR * settings.max_body_bytes
        return cls(settings.max_header_bytes, max_wire_bytes, settings.receive_timeout_s, room, memory, refused)
