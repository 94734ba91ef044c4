"""Validation of request heads: the rules of HTTP that the parser leaves to the server. Pure."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import httptools

from server.errors import (
    HeadTooLargeError,
    MalformedError,
    ServiceError,
    UnsupportedCodingError,
    UnsupportedVersionError,
    UriTooLongError,
)

MAX_HEADER_FIELDS = 100
OLDEST, NEWEST = "1.0", "1.1"
# RFC 3986, 3.2.2 and 3.2.3, without userinfo: an IP literal in brackets or a name, which may be empty, and a port.
HOST = re.compile(rb"(\[[0-9A-Za-z:.%_~-]+\]|[0-9A-Za-z._~!$&'()*+,;=%-]*)(:[0-9]{0,5})?")
WHITESPACE = b" \t"

# Probes of an orchestrator, answered even when no other request is.
PROBES = frozenset({b"/health", b"/healthz", b"/ready"})
HOP_BY_HOP = frozenset({b"connection", b"upgrade", b"http2-settings"})

# Memory overhead of a field, beside its name and value.
FIELD_BYTES = 150

Fields = Sequence[tuple[bytes, bytes]]


class Head(NamedTuple):
    """A request line and its header fields as they were sent, names in lower case."""

    method: bytes
    target: bytes
    version: str
    fields: Fields

    @property
    def size(self) -> int:
        """Bytes of the target and the fields, line ends included."""
        return len(self.target) + sum(len(name) + len(value) + len(": \r\n") for name, value in self.fields)

    @property
    def memory(self) -> int:
        """Bytes of memory that the head takes."""
        return self.size + FIELD_BYTES * len(self.fields)

    @property
    def is_probe(self) -> bool:
        """Whether this is a liveness or readiness probe."""
        return self.method in (b"GET", b"HEAD") and self.target.partition(b"?")[0] in PROBES

    def without_upgrade(self, keep_alive: bool) -> bytes:
        """Serialize the head without its Upgrade, which servers may ignore (RFC 9110, 7.8).

        Java's HttpClient and `curl --http2` ask for h2c with every POST.
        """
        lines = [b"%b %b HTTP/%b" % (self.method, self.target, self.version.encode())]
        lines += [b"%b: %b" % field for field in self.fields if field[0] not in HOP_BY_HOP]
        if not keep_alive:
            lines.append(b"connection: close")
        return b"\r\n".join(lines) + b"\r\n\r\n"


def check(head: Head) -> None:
    """Validate a head.

    Raises:
        ServiceError: it breaks a rule, which the message names.
    """
    if len(head.fields) > MAX_HEADER_FIELDS:
        raise HeadTooLargeError(f"{len(head.fields)} header fields, the limit is {MAX_HEADER_FIELDS}")
    check_version(head.version)
    check_target(head.method, head.target)
    check_host(head.version, values(head.fields, b"host"))
    check_codings(head.version, values(head.fields, b"transfer-encoding"))


def values(fields: Fields, name: bytes) -> list[bytes]:
    """Return the values of all fields called `name`, without surrounding whitespace."""
    return [value.strip(WHITESPACE) for key, value in fields if key == name]


def check_version(version: str) -> None:
    """Accept HTTP/1.0 and HTTP/1.1 (RFC 9110, 15.6.6).

    Raises:
        MalformedError: the request is older, HTTP/0.9, which has no header fields.
        UnsupportedVersionError: it is newer.
    """
    if version in (OLDEST, NEWEST):
        return
    if version < OLDEST:
        raise MalformedError("HTTP/0.9 is not served; send HTTP/1.1")
    raise UnsupportedVersionError(f"HTTP/{version} is not served on this connection; send HTTP/1.1")


def check_target(method: bytes, target: bytes) -> None:
    """Accept a path, `*`, or an absolute URI, whose path may be empty (RFC 9112, 3.2).

    Raises:
        MalformedError: it is none of them.
    """
    if method == b"CONNECT":
        raise MalformedError("CONNECT is for proxies, which this is not")
    try:
        httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        raise MalformedError("the address in the request line is not valid") from None


def with_path(target: bytes) -> bytes:
    """Return an absolute URI without a path with the path `/` (RFC 9112, 3.2.1); others unchanged."""
    if target.startswith((b"/", b"*")) or httptools.parse_url(target).path is not None:
        return target
    address, mark, query = target.partition(b"?")
    return address + b"/" + mark + query


def check_host(version: str, hosts: Sequence[bytes]) -> None:
    """Accept exactly one valid Host; HTTP/1.0 may omit it (RFC 9112, 3.2).

    Raises:
        MalformedError: it is missing, there are several, or it is not a host.
    """
    if len(hosts) > 1:
        raise MalformedError(f"{len(hosts)} Host headers, HTTP takes one")
    if not hosts and version != OLDEST:
        raise MalformedError("the Host header is missing, which HTTP/1.1 asks for")
    if hosts and not HOST.fullmatch(hosts[0]):
        raise MalformedError("the Host header is not a host with an optional port")


def check_codings(version: str, given: Sequence[bytes]) -> None:
    """Accept only the transfer coding `chunked` (RFC 9112, 6.1 and 6.3). The parser refuses lists that end otherwise.

    Raises:
        MalformedError: it is applied twice, or the request is HTTP/1.0, which has no transfer codings.
        UnsupportedCodingError: another coding comes before it.
    """
    if not given:
        return
    if version == OLDEST:
        raise MalformedError("HTTP/1.0 has no Transfer-Encoding")
    codings = [coding.strip(WHITESPACE).lower() for value in given for coding in value.split(b",")]
    if codings.count(b"chunked") > 1:
        raise MalformedError("Transfer-Encoding names chunked more than once")
    if len(codings) > 1 and codings[-1] == b"chunked":
        raise UnsupportedCodingError("Transfer-Encoding may be chunked and nothing else; send the body uncompressed")


def too_large(head: Head, limit: int) -> ServiceError:
    """Return the error for a head of more than `limit` bytes; it names the target if that alone is too long."""
    said = f"the limit is {limit} bytes (MAX_HEADER_BYTES)"
    if len(head.target) > limit:
        return UriTooLongError(f"the address is too long; with the headers {said}")
    return HeadTooLargeError(f"the request line and the headers are too long; {said}")
