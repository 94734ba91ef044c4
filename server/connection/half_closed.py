"""Detects whether a caller that sent FIN has hung up or only half-closed and waits for its answer.

Both look the same at first. A caller that half-closed (RFC 9112, 9.6) must ignore an interim response (RFC 9110, 15.2);
the kernel of one that hung up answers it with a reset.
"""

import asyncio
import socket
from collections.abc import Callable

# The only interim response that every client ignores.
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
SOONEST_S = 0.005
LATEST_S = 0.5
# HTTP/1.0 has no interim responses: an answer ready within this time is still sent, then the caller counts as gone.
GRACE_S = 1.0


class HalfClosed:
    """Polls a half-closed connection, and calls `gone` once the caller has hung up."""

    def __init__(self, transport: asyncio.Transport, gone: Callable[[], None]) -> None:
        self._socket: socket.socket = transport.get_extra_info("socket")
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def poll(self, next_s: float = SOONEST_S) -> None:
        """Poll for a reset, with exponential backoff, until stopped."""
        if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._gone()
        else:
            self._timer = self._loop.call_later(next_s, self.poll, min(2 * next_s, LATEST_S))

    def wait(self) -> None:
        """Treat the caller as gone after `GRACE_S`; there is no way to probe it."""
        self._timer = self._loop.call_later(GRACE_S, self._gone)

    def stop(self) -> None:
        """Stop watching."""
        if self._timer:
            self._timer.cancel()
