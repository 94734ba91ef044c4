"""Randomized client faults: slow and silent callers, too few open files, and many scrapes."""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest

from tests.faults.test_connections import calm, eventually_healthy
from tests.faults.test_slow_clients import HEAD, trickle
from tests.raw import Raw, post
from tests.serving import Served, serve

RECEIVE_S = 1.0
CROWD = 1000
SCRAPES = 1000
ACCEPTS = ("*/*", "text/plain;version=0.0.4", "a/b;q=x", ";;;", "text/html,*/*;q=0.8", "/", "\xe4", ",", "q" * 500)
GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def hasty() -> Iterator[Served]:
    """A server with a receive timeout of one second."""
    with serve(quantization="int8", receive_timeout_s=RECEIVE_S) as served:
        yield served
    assert not [line for line in served.lines if "Traceback" in line]


def test_slow_callers_in_a_crowd_are_closed_and_others_are_served(hasty: Served, chance: random.Random) -> None:
    body = b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
    with ExitStack() as open_ones:
        crowd = [open_ones.enter_context(Raw(hasty.client.base_url)) for _ in range(CROWD)]
        for caller in crowd:
            whole = chance.choice((b"", HEAD, body))
            caller.send(whole[: chance.randint(0, len(whole))])
        trickle(crowd[0], chance.choice((b"x", b" ", b"\r\n")))
        for _ in range(5):
            assert hasty.client.get("/health").status_code == 200
            assert hasty.embed(["a text"])
        for caller in crowd:
            # 400 where the trickled bytes made the headers invalid.
            assert {answer.status for answer in caller.answers()} <= {400, 408}


def test_an_answer_that_is_hardly_read_is_dropped(hasty: Served, chance: random.Random) -> None:
    texts = ", ".join(f'"text {number}"' for number in range(chance.randint(800, 1024)))
    with Raw(hasty.client.base_url, receive_buffer=chance.choice((2048, 4096, 8192))) as caller:
        caller.send(post(f'{{"texts": [{texts}]}}'.encode()))
        caller.socket.recv(1)
        dropped = False
        while not dropped:  # bounded by the test's timeout
            time.sleep(0.1)
            dropped = hasty.metrics()["embedding_connections"] <= 1
        assert hasty.client.get("/health").status_code == 200


def test_without_open_files_connections_wait_and_later_ones_are_served(chance: random.Random) -> None:
    with serve(quantization="int8") as served:
        process = psutil.Process(served.process.pid)
        limit = chance.randint(40, 80)
        process.rlimit(psutil.RLIMIT_NOFILE, (limit, limit))
        with ExitStack() as open_ones:
            for _ in range(chance.randint(100, 300)):
                open_ones.enter_context(Raw(served.client.base_url)).send(GET)
            assert calm(process)
        assert eventually_healthy(served)
        assert served.embed(["a text"])


def test_a_thousand_scrapes_with_any_accept_header_cost_no_one_else(hasty: Served, chance: random.Random) -> None:
    process = psutil.Process(hasty.process.pid)
    hasty.client.get("/metrics")
    before = process.memory_info().rss
    with ExitStack() as open_ones:
        callers = [open_ones.enter_context(Raw(hasty.client.base_url)) for _ in range(20)]
        for _ in range(SCRAPES // len(callers)):
            for caller in callers:
                accept = chance.choice(ACCEPTS).encode("latin-1")
                caller.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: %b\r\n\r\n" % accept)
            assert {answer.status for caller in callers if (answer := caller.answer())} == {200}
        assert hasty.embed(["a text"])
    assert process.memory_info().rss - before < 30_000_000
