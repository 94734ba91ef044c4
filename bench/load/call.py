"""One request: its bytes, and when it was planned and sent."""

from collections.abc import Sequence
from dataclasses import dataclass

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Dialect:
    """How a service wants to be asked: the path, the JSON before and after the texts, and what the body is said to be.

    Without a `media` the request is a GET and has no body.
    """

    path: str
    before: str
    after: str
    media: str = "application/json"


ONE = Dialect("/embed", '{"text":"', '"}')
MANY = Dialect("/embed", '{"texts":["', '"]}')
# As long as ONE, and refused by its headers alone, as a request is for which the queue has no room.
REFUSED = Dialect("/embed", '{"text":"', '"}', "text/plain")
HEALTH = Dialect("/health", "", "", "")


@dataclass(slots=True)
class Call:
    """A request under way. Times in seconds of the event loop's clock; `sent` is 0 until it left.

    Its caller waits for `patience_s` (0: for ever), and where it `leaves` then hangs up.
    """

    request: bytes
    texts: int
    planned: float
    sent: float = 0.0
    patience_s: float = 0.0
    leaves: bool = False

    def in_time(self, now: float) -> bool:
        """Whether its caller still waits."""
        return not self.patience_s or now - self.planned < self.patience_s


def request(dialect: Dialect, texts: Sequence[str], patience_s: float = 0.0) -> bytes:
    """Return a whole request, which says how long its caller waits (0: nothing); JSON would escape nothing of texts."""
    return post(dialect, texts, patience_s) if dialect.media else get(dialect.path)


def post(dialect: Dialect, texts: Sequence[str], patience_s: float = 0.0) -> bytes:
    """Return a whole request with a body, as `request` does."""
    patience = f"x-request-timeout-ms: {round(1000 * patience_s)}\r\n" if patience_s else ""
    body = dialect.before + '","'.join(texts) + dialect.after
    return (
        f"POST {dialect.path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {dialect.media}\r\n{patience}"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode("ascii")


def get(path: str) -> bytes:
    """Return a request without a body."""
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode("ascii")
