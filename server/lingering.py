"""The end of a connection: what is written last must reach the caller."""

import asyncio
from collections.abc import Callable


class Lingering(asyncio.Transport):
    """A socket's transport, as far as answering needs it; how it closes is the connection's matter."""

    def __init__(self, socket: asyncio.Transport, close: Callable[[], None]) -> None:
        super().__init__()
        self._socket = socket
        self._close = close
        self._closing = False
        self.written_bytes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data` after what was written before; `written_bytes` is the length of the last."""
        self.written_bytes = len(data)
        self._socket.write(data)

    def is_closing(self) -> bool:
        """Whether no more may be written."""
        return self._closing or self._socket.is_closing()

    def close(self) -> None:
        """Write no more, and close once the caller can have read the rest."""
        self._closing = True
        self._close()
