"""A minimal HTTP client that sends raw bytes."""

import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import httpx

TIMEOUT_S = 30.0


@dataclass
class Answer:
    """A parsed response; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The body as a JSON object."""
        value: dict[str, Any] = json.loads(self.body)
        return value


class Raw:
    """A TCP connection to a server."""

    def __init__(self, url: httpx.URL, *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(TIMEOUT_S)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect((url.host, url.port))
        self._stream = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send all of `data`; ignore a closed connection, whose answer may still be read."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def half_close(self) -> None:
        """Shut down the write side; ignore a closed connection."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def answer(self) -> Answer | None:
        """Read one answer, or return None if the connection is closed."""
        try:
            line = self._stream.readline()
            if not line:
                return None
            headers = {}
            while header := self._stream.readline().strip():
                name, _, value = header.decode().partition(":")
                headers[name.lower()] = value.strip()
            return Answer(int(line.split()[1]), headers, self._stream.read(int(headers.get("content-length", 0))))
        except ConnectionResetError:
            return None

    def answers(self) -> list[Answer]:
        """Read answers until the server closes."""
        answers = []
        while answer := self.answer():
            answers.append(answer)
        return answers

    def closed(self) -> bool:
        """Wait for data or the end of the stream; return whether the server closed."""
        try:
            return not self._stream.read(1)
        except ConnectionResetError:
            return True


def post(body: bytes, *headers: str, path: str = "/embed") -> bytes:
    """Return a complete POST request."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
