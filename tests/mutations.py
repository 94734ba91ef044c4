"""Seeded mutations of valid HTTP requests: of bytes, tokens and whole headers."""

import random
from collections.abc import Callable

TEXT = b'{"text": "a"}'
CLOSE = b"Connection: close\r\n\r\n"


def posted(body: bytes, *headers: bytes, target: bytes = b"/embed", version: bytes = b"1.1") -> bytes:
    """Return a POST request with a Content-Length."""
    lines = [b"POST %b HTTP/%b" % (target, version), b"Host: x", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


VALID = [
    posted(TEXT),
    posted(TEXT, b"Content-Type: application/json", b"X-Request-Id: one", b"X-Request-Timeout-Ms: 20000"),
    posted(b'{"input": ["a", "b"], "model": "all-MiniLM-L6-v2"}', target=b"/v1/embeddings"),
    posted(TEXT, b"Expect: 100-continue"),
    posted(TEXT, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk"),
    posted(TEXT, version=b"1.0"),
    b"POST /embed HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'5\r\n{"tex\r\n8;a=b\r\nt": "a"}\r\n0\r\nX-Trailer: 1\r\n\r\n',
    b"GET /health HTTP/1.1\r\nHost: example.org:8000\r\nAccept: */*\r\nAuthorization: Bearer x\r\n" + CLOSE,
    b"GET http://example.org:80/ready?a=b%20c HTTP/1.1\r\nHost: example.org\r\n\r\n",
    b"GET /info HTTP/1.0\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nOrigin: http://example.org\r\n\r\n",
    b"GET /v1/models/x%2Fy HTTP/1.1\r\nHost: x\r\nCookie: a=b; c=d\r\nTraceparent: 00-x\r\n\r\n" + posted(TEXT),
]
TOKENS = [
    *(b"GET", b"POST", b"PUT", b"OPTIONS", b"CONNECT", b"PRI", b"SEARCH", b"M-SEARCH", b"DESCRIBE", b"HTTP/1.1"),
    *(b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.2", b"HTTP/", b"RTSP/1.0", b"ICE/1.0", b"http/1.1", b"/"),
    *(b"*", b"//", b"/../", b"http://", b"http://host", b"http://host:99999/", b"http://a@b@c/", b"?", b"#"),
    *(b"%00", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b"\0", b" ", b"\t", b"\r\n ", b":", b": ", b",", b";"),
    *(b'"', b"\x80", b"\xff", b"Host: x\r\n", b"Host:\r\n", b"Content-Length: 0\r\n"),
    *(b"Content-Length: 99999999999999999999\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: identity\r\n", b"Connection: keep-alive\r\n"),
    *(b"Connection: close\r\n", b"Upgrade: websocket\r\n", b"Connection: upgrade\r\n", b"Expect: 100-continue\r\n"),
    *(b"Origin: null\r\n", b"Content-Encoding: gzip\r\n", b"Content-Type: application/json; charset=utf-16\r\n"),
    *(b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"7fffffff\r\n", b"0x5\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    *(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"x" * 40_000, b"{", b"}", b"[" * 2000),
]

Mutation = Callable[[random.Random, bytes], bytes]


def mutated(chance: random.Random) -> bytes:
    """Return a valid request with one to four mutations applied."""
    sent = chance.choice(VALID)
    for _ in range(chance.randint(1, 4)):
        sent = chance.choice(MUTATIONS)(chance, sent)
    return sent


def _cut(chance: random.Random, sent: bytes, longest: int) -> tuple[int, int]:
    begin = chance.randrange(len(sent) + 1)
    return begin, min(len(sent), begin + chance.randint(1, longest))


def _flip(chance: random.Random, sent: bytes) -> bytes:
    if not sent:
        return sent
    at = chance.randrange(len(sent))
    return sent[:at] + bytes([sent[at] ^ 1 << chance.randrange(8)]) + sent[at + 1 :]


def _insert(chance: random.Random, sent: bytes) -> bytes:
    at = chance.randrange(len(sent) + 1)
    return sent[:at] + chance.randbytes(chance.randint(1, 8)) + sent[at:]


def _insert_token(chance: random.Random, sent: bytes) -> bytes:
    at = chance.randrange(len(sent) + 1)
    return sent[:at] + chance.choice(TOKENS) + sent[at:]


def _delete(chance: random.Random, sent: bytes) -> bytes:
    begin, end = _cut(chance, sent, 20)
    return sent[:begin] + sent[end:]


def _repeat(chance: random.Random, sent: bytes) -> bytes:
    begin, end = _cut(chance, sent, 60)
    return sent[:end] + sent[begin:end] * chance.randint(1, 3) + sent[end:]


def _splice(chance: random.Random, sent: bytes) -> bytes:
    other = chance.choice(VALID)
    return sent[: chance.randrange(len(sent) + 1)] + other[chance.randrange(len(other)) :]


def _truncate(chance: random.Random, sent: bytes) -> bytes:
    return sent[: chance.randrange(len(sent) + 1)]


def _swap_word(chance: random.Random, sent: bytes) -> bytes:
    words = sent.split(b" ")
    words[chance.randrange(len(words))] = chance.choice(TOKENS)
    return b" ".join(words)


def _on_lines(chance: random.Random, sent: bytes) -> bytes:
    """Duplicate, delete, move or insert a line."""
    lines = sent.split(b"\r\n")
    at = chance.randrange(len(lines))
    kind = chance.randrange(4)
    if kind == 0:
        lines.insert(chance.randrange(len(lines) + 1), lines[at])
    elif kind == 1:
        del lines[at]
    elif kind == 2:
        lines.insert(chance.randrange(len(lines)), lines.pop(at))
    else:
        lines.insert(at, chance.choice(TOKENS).strip(b"\r\n"))
    return b"\r\n".join(lines)


def _line_ends(chance: random.Random, sent: bytes) -> bytes:
    return sent.replace(b"\r\n", chance.choice([b"\n", b"\r", b"\r\r\n", b"\n\r"]), chance.randint(1, 3))


MUTATIONS: list[Mutation] = [
    *(_flip, _insert, _insert_token, _delete, _repeat, _splice, _truncate, _swap_word, _on_lines, _line_ends),
]
