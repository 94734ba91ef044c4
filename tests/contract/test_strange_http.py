"""Unusual or invalid HTTP gets the right response or a clear 4xx; nothing hangs, and the server keeps serving."""

from collections.abc import Iterator

import pytest

from tests.raw import Raw, post
from tests.serving import Served

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /embed HTTP/1.1\r\nHost: x\r\n"
TEXT = b'{"text": "a"}'
CHUNKED = b"Transfer-Encoding: chunked\r\n"
GZIP = b"Transfer-Encoding: gzip, chunked\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(TEXT), TEXT)


@pytest.fixture(scope="module", autouse=True)
def still_serves(int8: Served) -> Iterator[None]:
    """Check after all tests that the same process still answers and has logged no error."""
    before = int8.embed(["the same text"])
    yield
    assert int8.process.poll() is None
    assert int8.embed(["the same text"]) == before
    assert not [line for line in int8.lines if "Traceback" in line or "Exception" in line]


NOT_HTTP = {
    "content length and chunked": POST + b"Content-Length: 13\r\n" + CHUNKED + b"\r\n" + CHUNKS,
    "chunked and content length": POST + CHUNKED + b"Content-Length: 13\r\n\r\n" + CHUNKS,
    "two content lengths": POST + b"Content-Length: 13\r\nContent-Length: 14\r\n\r\n" + TEXT,
    "the same content length twice": POST + b"Content-Length: 13\r\nContent-Length: 13\r\n\r\n" + TEXT,
    "a list of content lengths": POST + b"Content-Length: 13, 13\r\n\r\n" + TEXT,
    "negative content length": POST + b"Content-Length: -13\r\n\r\n" + TEXT,
    "signed content length": POST + b"Content-Length: +13\r\n\r\n" + TEXT,
    "content length beyond 64 bits": POST + b"Content-Length: 99999999999999999999999\r\n\r\n" + TEXT,
    "chunk size that is no number": POST + CHUNKED + b"\r\nzz\r\n",
    "unknown transfer encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS,
    "chunked not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKS,
    "folded header": GET + b"X-Long: a\r\n b\r\n\r\n",
    "NUL in a header": GET + b"X-Nul: a\0b\r\n\r\n",
    "space before the colon": GET + b"X-Space : a\r\n\r\n",
    "bare line feeds": b"GET /health HTTP/1.1\nHost: x\n\n",
    "bytes in the address": b"GET /h\xc3\xa9alth HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP 2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP 3": b"GET /health HTTP/3.0\r\n\r\n",
    "TLS hello": bytes.fromhex("16030100f1010000ed0303") + b"\x5a" * 230,
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "noise": bytes(range(256)) * 8,
    "HTTP 0.9": b"GET /health\r\n\r\n",
    "HTTP 0.9 by name": b"GET /health HTTP/0.9\r\n\r\n",
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"Host: x\r\n\r\n",
    "two hosts in HTTP 1.0": b"GET /health HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n",
    "a host with a path": b"GET /health HTTP/1.1\r\nHost: x/y\r\n\r\n",
    "a host with a user": b"GET /health HTTP/1.1\r\nHost: a@x\r\n\r\n",
    "a host with a space": b"GET /health HTTP/1.1\r\nHost: x y\r\n\r\n",
    "a host with no number for a port": b"GET /health HTTP/1.1\r\nHost: x:http\r\n\r\n",
    "an authority with no valid port": b"GET http://x:99999/health HTTP/1.1\r\nHost: x\r\n\r\n",
    "an authority without a host": b"GET http:///health HTTP/1.1\r\nHost: x\r\n\r\n",
    "an authority with two users": b"GET http://a@@/health HTTP/1.1\r\nHost: x\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "chunked in HTTP 1.0": b"POST /embed HTTP/1.0\r\n" + CHUNKED + b"\r\n" + CHUNKS,
}


@pytest.mark.parametrize("sent", NOT_HTTP.values(), ids=NOT_HTTP)
def test_what_is_not_http_is_a_400_and_the_connection_ends(int8: Served, sent: bytes) -> None:
    with Raw(int8.client.base_url) as caller:
        caller.send(sent)
        (answer,) = caller.answers()
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["connection"] == "close"
    assert answer.error.keys() == {"error", "error_type"}
    assert answer.error["error_type"] == "malformed"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (POST + GZIP + b"\r\n" + CHUNKS, 501),
        (POST + b"Transfer-Encoding: gzip\r\n" + CHUNKED + b"\r\n" + CHUNKS, 501),
        (b"GET /health HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    ],
    ids=["a coding before chunked", "a coding in a header of its own", "HTTP 2 in words"],
)
def test_what_http_1_1_leaves_out_is_said_to_be_unknown(int8: Served, sent: bytes, status: int) -> None:
    with Raw(int8.client.base_url) as caller:
        caller.send(sent)
        (answer,) = caller.answers()
    assert answer.status == status
    assert answer.headers["connection"] == "close"
    assert answer.error.keys() == {"error", "error_type"}


ANSWERED = {
    "HTTP 1.0": (b"GET /health HTTP/1.0\r\n\r\n", [200]),
    "the whole address": (b"GET http://x/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", [200]),
    "an address without a path": (b"GET http://x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", [200]),
    "a query without a path": (b"GET http://x?a=/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", [200]),
    "an empty host": (b"GET /health HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n", [200]),
    "an IPv6 host": (b"GET /health HTTP/1.1\r\nHost: [::1]:80 \t\r\nConnection: close\r\n\r\n", [200]),
    "a bad authority behind a good request": (
        post(TEXT) + b"GET http://x:99999/ HTTP/1.1\r\nHost: x\r\n\r\n",
        [200, 400],
    ),
    "no path behind a good request": (
        post(TEXT) + b"GET http://x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        [200, 200],
    ),
    "no host behind a good request": (post(TEXT) + b"GET /health HTTP/1.1\r\n\r\n", [200, 400]),
    "a coding behind a good request": (post(TEXT) + POST + GZIP + b"\r\n" + CHUNKS, [200, 501]),
    "junk in the query": (
        b"GET /health?&&;=%00%ff%zz[]=&a=b#c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        [200],
    ),
    "empty lines first": (b"\r\n\r\n" + GET + b"Connection: close\r\n\r\n", [200]),
    "options for all": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", [404]),
    "an unknown method": (b"PURGE /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", [405]),
    "trailers": (POST + CHUNKED + b"Connection: close\r\n\r\n" + CHUNKS[:-2] + b"X-Trailer: 1\r\n\r\n", [200]),
    "after the last request": (GET + b"Connection: close\r\n\r\n" + GET + b"\r\n", [200]),
    "in a row": (post(TEXT) + GET + b"\r\n" + post(b"{}") + b"GET /x HTTP/1.0\r\n\r\n", [200, 200, 422, 404]),
    "garbage after the body": (post(b"{}") + b"and more", [422, 400]),
    "garbage after a good body": (post(TEXT) + b"\r\nand more", [200, 400]),
    "garbage for the next body": (post(TEXT) + POST + CHUNKED + b"\r\nzz\r\n", [200, 400]),
    "too long a head after a request": (post(TEXT) + GET + b"X: " + b"x" * 40_000 + b"\r\n\r\n", [200, 431]),
}


@pytest.mark.parametrize(("sent", "statuses"), ANSWERED.values(), ids=ANSWERED)
def test_requests_are_answered_in_their_order(int8: Served, sent: bytes, statuses: list[int]) -> None:
    with Raw(int8.client.base_url) as caller:
        caller.send(sent)
        assert [answer.status for answer in caller.answers()] == statuses


@pytest.mark.parametrize("head", [GET, POST + CHUNKED + b"\r\n5\r\nab", POST + b"Content-Length: 13\r\n\r\n{"])
def test_a_request_that_ends_halfway_is_a_400(int8: Served, head: bytes) -> None:
    with Raw(int8.client.base_url) as caller:
        caller.send(head)
        caller.half_close()
        (answer,) = caller.answers()
    assert answer.status == 400
    assert "closed" in answer.error["error"]


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (post(TEXT), [200]),
        (post(TEXT) + GET + b"\r\n" + post(TEXT), [200, 200, 200]),
        (post(TEXT) + b"and more", [200, 400]),
        (post(TEXT).replace(b"HTTP/1.1", b"HTTP/1.0"), [200]),
        (
            post(TEXT, "Transfer-Encoding: chunked").replace(b"Content-Length: 13\r\n", b"")[: -len(TEXT)] + CHUNKS,
            [200],
        ),
    ],
    ids=["one", "three", "garbage behind", "HTTP 1.0", "chunked"],
)
def test_a_caller_that_sends_no_more_gets_every_answer(int8: Served, sent: bytes, statuses: list[int]) -> None:
    with Raw(int8.client.base_url) as caller:
        caller.send(sent)
        caller.half_close()
        assert [answer.status for answer in caller.answers() if answer.status != 100] == statuses


@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
def test_an_upgrade_is_declined_by_answering_and_the_body_is_read(int8: Served, protocol: str) -> None:
    upgrade = (
        "Connection: Upgrade, HTTP2-Settings",
        f"Upgrade: {protocol}",
        "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk",
    )
    with Raw(int8.client.base_url) as caller:
        for _ in range(2):
            caller.send(post(TEXT, *upgrade))
            answer = caller.answer()
            assert answer
            assert answer.status == 200
            assert b"embedding" in answer.body


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (GET + b"X: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        (GET + b"X: " + b"x" * 1_000_000, 431),
        (GET + b"Authorization: Bearer " + b"k" * 1_000_000 + b"\r\n\r\n", 431),
        (GET + b"".join(b"X-%d: y\r\n" % i for i in range(120)) + b"\r\n", 431),
        (GET + b"".join(b"X-%d: y\r\n" % i for i in range(10_000)) + b"\r\n", 431),
        (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /?q=" + b"x" * 1_000_000, 414),
    ],
    ids=["one header", "endless header", "huge key", "120 headers", "10k headers", "address", "endless address"],
)
def test_a_head_that_is_too_large_names_its_limit(int8: Served, sent: bytes, status: int) -> None:
    with Raw(int8.client.base_url) as caller:
        caller.send(sent)
        (answer,) = caller.answers()
    assert answer.status == status
    assert answer.headers["connection"] == "close"
    assert "the limit is" in answer.error["error"]
    assert "xxx" not in answer.error["error"]


def test_a_head_within_its_limit_is_served_however_it_is_cut(int8: Served) -> None:
    head = GET + b"X: " + b"x" * 30_000 + b"\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(90)) + b"\r\n"
    with Raw(int8.client.base_url) as caller:
        for size in (len(head), 7_000):
            for at in range(0, len(head), size):
                caller.send(head[at : at + size])
            answer = caller.answer()
            assert answer
            assert answer.status == 200


def test_a_pipelined_request_s_head_is_not_charged_with_the_body_before_it(int8: Served) -> None:
    large = b'{"text": "a"' + b" " * 200_000 + b"}"
    with Raw(int8.client.base_url) as caller:
        caller.send((post(large) + GET + b"\r\n") * 3)
        assert [answer.status for _ in range(6) if (answer := caller.answer())] == [200] * 6


def test_more_requests_than_may_wait_on_a_connection_are_refused_after_those_before(int8: Served) -> None:
    with Raw(int8.client.base_url) as caller:
        caller.send((GET + b"\r\n") * 5_000)
        statuses = [answer.status for answer in caller.answers()]
    assert set(statuses[:-1]) == {200}
    assert statuses[-1] == 429


def test_openai_s_routes_get_their_shape(int8: Served) -> None:
    with Raw(int8.client.base_url) as caller:
        caller.send(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 40_000 + b"\r\n\r\n")
        (answer,) = caller.answers()
    assert answer.error["error"]["code"] == "too_large"


@pytest.mark.parametrize(
    "accept", ["", "*", "text/html", ";;;=,,q=", "application/xml;q=abc", "a" * 20_000, "\xff\xfe"]
)
def test_any_accept_header_gets_the_same_answer(int8: Served, accept: str) -> None:
    with Raw(int8.client.base_url) as caller:
        caller.send(b"GET /info HTTP/1.1\r\nHost: x\r\nAccept: " + accept.encode("latin-1") + b"\r\n\r\n")
        answer = caller.answer()
    assert answer
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
