"""A transport that coalesces writes, and hands closing over to the connection."""

import asyncio
from collections import deque
from collections.abc import Callable


class CoalescingTransport(asyncio.Transport):
    """The write side of a socket's transport; the connection decides how to close.

    uvicorn writes the head and body of an answer separately, and uvloop sends each at once: two packets, each of which
    wakes the caller. Here all writes of one event loop iteration are sent together.
    """

    def __init__(self, socket: asyncio.Transport, close: Callable[[], None]) -> None:
        super().__init__()
        self._socket = socket
        self._close = close
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._unsent: list[bytes | bytearray | memoryview] = []
        self._flushes: deque[int] = deque()
        self.written_bytes = 0
        """Bytes of the flushes of which a part is unsent; each is held as a whole until its last byte is sent."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Buffer `data` until the end of the event loop iteration; `written_bytes` says what is held."""
        if not self._unsent:
            self._loop.call_soon(self.flush)
        self._unsent.append(data)

    def is_closing(self) -> bool:
        """Whether writing is no longer allowed."""
        return self._closing or self._socket.is_closing()

    def close(self) -> None:
        """Flush, refuse further writes, and have the connection close."""
        self.flush()
        self._closing = True
        self._close()

    def detach(self) -> None:
        """Drop the reference to the lost connection, which refers to this transport."""
        self._closing, self._close = True, _nothing

    def flush(self) -> None:
        """Send buffered data now."""
        unsent, self._unsent = self._unsent, []
        # The connection may have been lost or dropped since the write.
        if unsent and not self._socket.is_closing():
            self._count(sum(map(len, unsent)))
            self._socket.writelines(unsent)

    def _count(self, size: int) -> None:
        """Count a flush that is about to be written, and no longer count those that have been sent."""
        pending = self._socket.get_write_buffer_size() + size
        self._flushes.append(size)
        self.written_bytes += size
        while self._flushes and self.written_bytes - self._flushes[0] >= pending:
            self.written_bytes -= self._flushes.popleft()


def _nothing() -> None:
    """Do nothing: the connection is already closed."""
