"""The bytes of a request."""

from collections.abc import Sequence
from dataclasses import dataclass

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Dialect:
    """A service's request format: path, JSON before and after the texts, media type, and the one asked for.

    With an empty `media` the request is a GET without a body.
    """

    path: str
    before: str
    after: str
    media: str = "application/json"
    accept: str = ""


ONE = Dialect("/embed", '{"text":"', '"}')
MANY = Dialect("/embed", '{"texts":["', '"]}')
# As long as ONE, and rejected on its headers alone, like a request when the queue is full.
REFUSED = Dialect("/embed", '{"text":"', '"}', "text/plain")
HEALTH = Dialect("/health", "", "", "")


def request(dialect: Dialect, texts: Sequence[str] = (), timeout_s: float = 0.0) -> bytes:
    """Return a whole request; a non-zero `timeout_s` is sent as its timeout. Texts must need no JSON escapes."""
    if not dialect.media:
        return f"GET {dialect.path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode("ascii")
    timeout = f"x-request-timeout-ms: {round(1000 * timeout_s)}\r\n" if timeout_s else ""
    accept = f"Accept: {dialect.accept}\r\n" if dialect.accept else ""
    body = dialect.before + '","'.join(texts) + dialect.after
    return (
        f"POST {dialect.path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {dialect.media}\r\n{accept}{timeout}"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode("ascii")
