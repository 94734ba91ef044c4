"""One request: its bytes, scheduled time and send time."""

from collections.abc import Sequence
from dataclasses import dataclass

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Dialect:
    """A service's request format: path, JSON before and after the texts, and media type.

    With an empty `media` the request is a GET without a body.
    """

    path: str
    before: str
    after: str
    media: str = "application/json"


ONE = Dialect("/embed", '{"text":"', '"}')
MANY = Dialect("/embed", '{"texts":["', '"]}')
# As long as ONE, and rejected on its headers alone, like a request when the queue is full.
REFUSED = Dialect("/embed", '{"text":"', '"}', "text/plain")
HEALTH = Dialect("/health", "", "", "")


@dataclass(slots=True)
class Call:
    """A request in flight. Times in seconds on the event loop's clock; `sent` is 0 until it is sent.

    `patience_s` is the caller's timeout (0: none); if `leaves`, the caller then disconnects, and has `left`.
    """

    request: bytes
    texts: int
    planned: float
    sent: float = 0.0
    patience_s: float = 0.0
    leaves: bool = False
    left: bool = False

    def in_time(self, now: float) -> bool:
        """Return whether the caller's timeout has not expired."""
        return not self.patience_s or now - self.planned < self.patience_s


def request(dialect: Dialect, texts: Sequence[str], patience_s: float = 0.0) -> bytes:
    """Return a whole request; a non-zero `patience_s` is sent as its timeout. Texts must need no JSON escapes."""
    return post(dialect, texts, patience_s) if dialect.media else get(dialect.path)


def post(dialect: Dialect, texts: Sequence[str], patience_s: float = 0.0) -> bytes:
    """Return a POST request, as `request` does."""
    patience = f"x-request-timeout-ms: {round(1000 * patience_s)}\r\n" if patience_s else ""
    body = dialect.before + '","'.join(texts) + dialect.after
    return (
        f"POST {dialect.path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {dialect.media}\r\n{patience}"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode("ascii")


def get(path: str) -> bytes:
    """Return a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode("ascii")
