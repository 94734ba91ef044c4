"""One request: its bytes, and when it was planned and sent."""

from collections.abc import Sequence
from dataclasses import dataclass

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Dialect:
    """How a service wants to be asked: the path, and the JSON before and after the texts."""

    path: str
    before: str
    after: str


ONE = Dialect("/embed", '{"text":"', '"}')
MANY = Dialect("/embed", '{"texts":["', '"]}')


@dataclass(slots=True)
class Call:
    """A request under way. Times in seconds of the event loop's clock; `sent` is 0 until it left."""

    request: bytes
    texts: int
    planned: float
    sent: float = 0.0


def post(dialect: Dialect, texts: Sequence[str]) -> bytes:
    """Return a whole request; texts hold nothing that JSON would escape."""
    body = dialect.before + '","'.join(texts) + dialect.after
    return (
        f"POST {dialect.path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode("ascii")


def get(path: str) -> bytes:
    """Return a request without a body."""
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode("ascii")
