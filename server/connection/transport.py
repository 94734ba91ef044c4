"""Writing to a connection: what belongs together leaves together, and what is written last reaches the caller."""

import asyncio
from collections.abc import Callable


class CoalescingTransport(asyncio.Transport):
    """A socket's transport, as far as answering needs it; how it closes is the connection's matter.

    uvicorn writes an answer's head and its body apart, and uvloop sends each at once: two packets, for each of which
    the caller is woken. What is written in one turn of the event loop leaves together here.
    """

    def __init__(self, socket: asyncio.Transport, close: Callable[[], None]) -> None:
        super().__init__()
        self._socket = socket
        self._close = close
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._unsent: list[bytes | bytearray | memoryview] = []
        self.written_bytes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data` after what was written before; `written_bytes` is the length of what left last."""
        if not self._unsent:
            self._loop.call_soon(self.flush)
        self._unsent.append(data)

    def is_closing(self) -> bool:
        """Whether no more may be written."""
        return self._closing or self._socket.is_closing()

    def close(self) -> None:
        """Write no more, and close once the caller can have read the rest."""
        self.flush()
        self._closing = True
        self._close()

    def detach(self) -> None:
        """Forget the connection, which is lost: the two refer to each other."""
        self._closing, self._close = True, _nothing

    def flush(self) -> None:
        """Send now what this turn's end would have sent."""
        unsent, self._unsent = self._unsent, []
        # In the same turn the connection may have been lost or dropped.
        if unsent and not self._socket.is_closing():
            self.written_bytes = sum(map(len, unsent))
            self._socket.writelines(unsent)


def _nothing() -> None:
    """Close nothing: all is closed."""
