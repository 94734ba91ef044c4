"""Requests refused before their body is read: the response reaches a caller that is still sending."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.raw import Raw, post
from tests.serving import Served, serve

JSON = {"content-type": "application/json"}
LARGE = b'{"text": "' + b"x" * 10_000_000 + b'"}'
KEY = {"authorization": "Bearer one"}


# A fixed batch size, since the memory of the idle server depends on it.
LITTLE_MEMORY = {"memory_mb": 400, "max_batch_tokens": 512}


@pytest.fixture(scope="module")
def keyed() -> Iterator[Served]:
    """A server with API keys, a body limit of 4 MB and little memory for requests."""
    with serve(quantization="int8", api_key="one,two", max_body_bytes=4_000_000, **LITTLE_MEMORY) as served:
        yield served


def in_chunks(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b" " * 1_000_000


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (JSON | KEY, 413),
        (JSON, 401),
        ({"content-type": "text/plain"} | KEY, 415),
    ],
    ids=["size", "key", "media type"],
)
@pytest.mark.parametrize("whole", [True, False], ids=["with length", "chunked"])
def test_the_answer_reaches_a_caller_that_sends_10_mb(
    keyed: Served, headers: dict[str, str], status: int, whole: bool
) -> None:
    with httpx.Client(base_url=keyed.client.base_url, timeout=30) as client:
        answer = client.post("/embed", content=LARGE if whole else in_chunks(10), headers=headers)
        assert answer.status_code == status
        assert answer.json().keys() == {"error", "error_type"}
        assert client.post("/embed", json={"text": "a"}, headers=KEY).status_code == 200


def test_the_answer_reaches_a_caller_that_reads_only_after_all_is_sent(keyed: Served) -> None:
    with Raw(keyed.client.base_url) as caller:
        caller.socket.sendall(post(LARGE, "Content-Type: application/json", "Authorization: Bearer one"))
        (answer,) = caller.answers()
    assert answer.status == 413
    assert "MAX_BODY_BYTES" in answer.error["error"]


def test_a_refused_body_of_moderate_size_leaves_the_connection_open(keyed: Served) -> None:
    body = b'{"text": "' + b"x" * 1_000_000 + b'"}'
    with Raw(keyed.client.base_url) as caller:
        for _ in range(2):
            caller.send(post(body))
            answer = caller.answer()
            assert answer
            assert answer.status == 401
        caller.send(post(b'{"text": "a"}', "Authorization: Bearer one"))
        answer = caller.answer()
        assert answer
        assert answer.status == 200


def test_a_body_without_end_is_not_read_without_end(keyed: Served) -> None:
    with Raw(keyed.client.base_url) as caller:
        caller.send(b"POST /embed HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        sent = 0
        try:
            for _ in range(1000):
                caller.socket.sendall(b"f4240\r\n" + b" " * 1_000_000 + b"\r\n")
                sent += 1
        except ConnectionError:
            pass
    assert sent < 100


def test_a_caller_that_waits_to_be_told_to_send_is_refused_without_being_told(keyed: Served) -> None:
    head = f"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Length: {len(LARGE)}\r\nExpect: 100-continue\r\n\r\n".encode()
    with Raw(keyed.client.base_url) as caller:
        caller.send(head)
        (answer,) = caller.answers()
    assert answer.status == 401


def test_a_caller_that_waits_to_be_told_to_send_is_told(keyed: Served) -> None:
    head = b"POST /embed HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer one\r\nContent-Length: 13\r\n"
    with Raw(keyed.client.base_url) as caller:
        caller.send(head + b"Expect: 100-continue\r\n\r\n")
        told = caller.answer()
        assert told
        assert told.status == 100
        caller.send(b'{"text": "a"}')
        answer = caller.answer()
        assert answer
        assert answer.status == 200


ABSURD_LENGTH = b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"


def test_a_length_beyond_the_limit_is_refused_before_a_byte_comes(int8: Served) -> None:
    with Raw(int8.client.base_url) as caller:
        caller.send(ABSURD_LENGTH)
        answer = caller.answer()
    assert answer
    assert answer.status == 413


def test_bodies_that_do_not_end_take_bounded_room_and_leave_small_requests_alone(keyed: Served) -> None:
    head = b"POST /embed HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer one\r\nContent-Length: 4000000\r\n\r\n"
    # No smaller than the others, so that it does not fit where they do not.
    large = b'{"text": "a"' + b" " * 3_980_000 + b"}"
    with ExitStack() as stack:
        for _ in range(40):  # 20 exhaust the memory, but some may be refused while the large body is read
            stack.enter_context(Raw(keyed.client.base_url)).send(head + b" " * 3_900_000)
            if all(status(keyed, large) == 429 for _ in range(3)):
                break
        else:
            pytest.fail("bodies that do not end take room without a bound")
        assert status(keyed, b'{"text": "a"}') == 200
    deadline = time.monotonic() + 15
    while status(keyed, large) != 200:
        assert time.monotonic() < deadline, "what hung up still takes room"


def status(served: Served, body: bytes) -> int:
    return served.client.post("/embed", content=body, headers=JSON | KEY).status_code
