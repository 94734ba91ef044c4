"""Callers that send or read slowly, or not at all, are dropped at the timeout and do not affect others."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import psutil
import pytest

from tests.raw import Raw, post
from tests.serving import Served, serve

pytestmark = pytest.mark.alone

PACE_S = 0.2
HEAD = b"GET /health HTTP/1.1\r\nHost: x\r\nX-Long: "


@pytest.fixture(scope="module")
def hasty() -> Iterator[Served]:
    """A server with a receive timeout of 2 s: long enough for well-behaved callers on a busy machine."""
    with serve(quantization="int8", receive_timeout_s=2) as served:
        yield served
    assert not [line for line in served.lines if "Traceback" in line or "Exception" in line]


def trickle(caller: Raw, byte: bytes = b"x") -> None:
    """Send bytes slowly until the server responds or closes, or for much longer than the receive timeout."""
    caller.socket.setblocking(False)
    for _ in range(50):
        time.sleep(PACE_S)
        try:
            caller.socket.send(byte)
            if not caller.socket.recv(1, socket.MSG_PEEK):
                break
        except BlockingIOError:
            continue
        except ConnectionError:
            break
        break
    caller.socket.settimeout(10)


def test_headers_a_byte_at_a_time(hasty: Served) -> None:
    with Raw(hasty.client.base_url) as caller:
        caller.send(HEAD)
        trickle(caller)
        (answer,) = caller.answers()
    assert answer.status == 408
    assert "RECEIVE_TIMEOUT_S" in answer.error["error"]


def test_headers_of_a_second_request_a_byte_at_a_time(hasty: Served) -> None:
    with Raw(hasty.client.base_url) as caller:
        caller.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        first = caller.answer()
        caller.send(HEAD)
        trickle(caller)
        (second,) = caller.answers()
    assert first
    assert (first.status, second.status) == (200, 408)


def test_a_body_a_byte_at_a_time(hasty: Served) -> None:
    with Raw(hasty.client.base_url) as caller:
        caller.send(b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        trickle(caller, b" ")
        (answer,) = caller.answers()
    assert answer.status == 408
    assert "RECEIVE_TIMEOUT_S" in answer.error["error"]


def test_the_rest_of_a_refused_body_a_byte_at_a_time(hasty: Served) -> None:
    with Raw(hasty.client.base_url) as caller:
        caller.send(b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        answer = caller.answer()
        assert answer
        assert answer.status == 200
        trickle(caller)
        assert caller.closed()


def test_nothing_at_all(hasty: Served) -> None:
    with Raw(hasty.client.base_url) as caller:
        assert caller.closed()


def test_only_empty_lines(hasty: Served) -> None:
    with Raw(hasty.client.base_url) as caller:
        trickle(caller, b"\r\n")
        assert caller.closed()


def test_a_thousand_of_them_at_once_disturb_nobody(hasty: Served) -> None:
    openings: list[Callable[[Raw], None]] = [
        lambda _: None,
        lambda caller: caller.send(HEAD),
        lambda caller: caller.send(b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"),
    ]
    callers = [Raw(hasty.client.base_url) for _ in range(1000)]
    for index, caller in enumerate(callers):
        openings[index % len(openings)](caller)
    for _ in range(20):
        assert hasty.client.get("/health").status_code == 200
        assert hasty.embed(["a text"])
    for caller in callers:
        with caller:
            assert {answer.status for answer in caller.answers()} <= {408}


def large_question() -> bytes:
    """Return a request whose response takes several megabytes."""
    texts = ", ".join(f'"text {number}"' for number in range(1000))
    return post(f'{{"texts": [{texts}]}}'.encode())


def test_an_answer_that_is_not_read_is_dropped(hasty: Served) -> None:
    before = hasty.metrics()["embedding_inputs_total"]
    with Raw(hasty.client.base_url, receive_buffer=4096) as caller:
        caller.send(large_question())
        assert hasty.shows(embedding_inputs_total=before + 1000)  # Computed, however long a busy machine takes.
        with httpx.Client(base_url=hasty.client.base_url) as other:
            for _ in range(30):
                time.sleep(PACE_S)
                assert other.get("/health").status_code == 200
        answer = caller.answer()
    assert answer is None or len(answer.body) < int(answer.headers["content-length"])


def test_an_answer_that_is_read_slowly_but_steadily_is_not(hasty: Served) -> None:
    with Raw(hasty.client.base_url, receive_buffer=65536) as caller:
        caller.send(large_question())
        length, received = 0, b""
        while not length or len(received) < length:
            time.sleep(0.04)
            chunk = caller.socket.recv(65536)
            assert chunk, f"cut off after {len(received)} bytes of {length}"
            received += chunk
            if not length and b"\r\n\r\n" in received:
                head, _, received = received.partition(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split()[0])
    assert received.endswith(b"]]}")


def ask_unread(served: Served, question: bytes, open_ones: ExitStack) -> None:
    """Leave an answer unread, again if it is a 429: those before it are dropped once they are found slow."""
    for _ in range(10):
        caller = open_ones.enter_context(Raw(served.client.base_url, receive_buffer=4096))
        caller.send(question)
        if b"429" not in caller.socket.recv(16, socket.MSG_PEEK):
            return
        time.sleep(1)


def test_answers_that_nobody_reads_take_bounded_memory() -> None:
    texts = ", ".join(['"the same text"'] * 1000)
    question = post(f'{{"texts": [{texts}]}}'.encode())
    little = {"memory_mb": 360, "max_batch_tokens": 512, "max_body_bytes": 2_000_000}
    with serve(quantization="int8", max_queue_tokens=10_000_000, **little) as served, ExitStack() as open_ones:
        served.embed(["the same text"] * 1000)
        process = psutil.Process(served.process.pid)
        before = process.memory_info().rss
        for number in range(2, 32):  # responses of 4.7 MB each, one after the other
            ask_unread(served, question, open_ones)
            assert served.shows(embedding_inputs_total=1000 * number)
        assert process.memory_info().rss - before < 100_000_000
        assert served.embed(["a text"])
