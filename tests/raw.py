"""A caller that sends bytes as they are, and reads answers as they come."""

import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import httpx

TIMEOUT_S = 30.0


@dataclass
class Answer:
    """One answer as it stood on the wire; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The body of an error."""
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
        """Send all of `data`; a server that has closed is no error, as its answer may still be read."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def half_close(self) -> None:
        """Send no more; answers may still come, also from a server that has closed."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def answer(self) -> Answer | None:
        """Read one answer; None where the connection is closed instead."""
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
        """Wait until the server closes; False where it sends something instead."""
        try:
            return not self._stream.read(1)
        except ConnectionResetError:
            return True


def post(body: bytes, *headers: str, path: str = "/embed") -> bytes:
    """One whole request to send."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
