"""Telling a caller that has hung up from one that sends no more and waits for its answer.

On the wire both begin alike. A caller that has only ended its own side (RFC 9112, 9.6) may be sent an interim response,
which HTTP/1.1 obliges it to read over (RFC 9110, 15.2); the system of one that has hung up answers it with a reset.
"""

import asyncio
import socket
from collections.abc import Callable

# The one interim response that every client reads over.
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
SOONEST_S = 0.005
LATEST_S = 0.5
# HTTP/1.0 has no interim response: callers get what is ready within this time, and then have hung up.
GRACE_S = 1.0


class HalfClosed:
    """Watches a connection whose caller has ended its side until it is stopped, or the caller proves to be gone."""

    def __init__(self, transport: asyncio.Transport, gone: Callable[[], None]) -> None:
        self._socket: socket.socket = transport.get_extra_info("socket")
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def look(self, next_s: float = SOONEST_S) -> None:
        """Look for a reset, often at first, until stopped."""
        if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._gone()
        else:
            self._timer = self._loop.call_later(next_s, self.look, min(2 * next_s, LATEST_S))

    def wait(self) -> None:
        """Take the caller for gone after `GRACE_S`, since nothing can tell."""
        self._timer = self._loop.call_later(GRACE_S, self._gone)

    def stop(self) -> None:
        """Stop watching."""
        if self._timer:
            self._timer.cancel()
