"""Beyond the limit on connections or open files, new connections are refused and later ones are served."""

import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import psutil
import pytest

from tests.raw import Answer, Raw, post
from tests.serving import Served, serve

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


LIMIT = 10
UPLOAD = b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n"
BODY = b'{"text": "a sentence"}'[:20]


@pytest.fixture(scope="module")
def small() -> Iterator[Served]:
    """A server with MAX_CONNECTIONS=10."""
    with serve(quantization="int8", max_connections=LIMIT) as served:
        served.client.close()  # Its open connection would count.
        yield served
    assert not [line for line in served.lines if "Traceback" in line or "Exception" in line]


@contextmanager
def callers(served: Served, count: int, say: bytes = b"") -> Iterator[list[Raw]]:
    """Open `count` connections, each of which has sent `say`."""
    with ExitStack() as open_ones:
        opened = [open_ones.enter_context(Raw(served.client.base_url)) for _ in range(count)]
        for caller in opened:
            caller.send(say)
        yield opened


def once(served: Served, request: bytes) -> Answer:
    with Raw(served.client.base_url) as caller:
        caller.send(request)
        answer = caller.answer()
    assert answer
    return answer


def test_idle_connections_give_way_the_one_that_is_idle_longest_first(small: Served) -> None:
    with callers(small, LIMIT) as idle:
        for caller in idle:
            assert health(caller) == 200
        for path in (b"/health", b"/ready"):
            assert once(small, b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path).status == 200
        assert once(small, post(b'{"text": "a"}')).status == 200
        assert idle[0].closed()
        assert [health(caller) for caller in idle[1:]] == [200] * (LIMIT - 1)
    counted = once(small, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").body.decode()
    assert 'embedding_connections_closed_total{state="idle"} 1.0' in counted


def test_probes_get_in_where_every_connection_is_busy_and_none_of_these_is_closed(small: Served) -> None:
    with callers(small, LIMIT, UPLOAD) as busy:
        for _ in range(50):  # More than the reserved connections.
            for path in (b"/health", b"/ready"):
                assert once(small, b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path).status == 200
            refused = once(small, post(b'{"text": "a"}'))
            assert refused.status == 503
            assert refused.headers["retry-after"] == "1"
            assert refused.headers["connection"] == "close"
            assert "MAX_CONNECTIONS" in refused.error["error"]
        for caller in busy:
            caller.send(BODY)
        assert [answer.status for caller in busy if (answer := caller.answer())] == [400] * LIMIT


@pytest.mark.parametrize("say", [b"", GET[:20]], ids=["nothing", "half a head"])
def test_connections_that_say_nothing_keep_nobody_out(small: Served, say: bytes) -> None:
    with callers(small, LIMIT + 100, say):
        for _ in range(10):
            assert once(small, GET).status == 200
        time.sleep(1.2)
        assert once(small, post(b'{"text": "a"}')).status == 200


def test_a_connection_in_the_reserve_that_is_slow_does_not_keep_probes_out(small: Served) -> None:
    with callers(small, LIMIT, UPLOAD), callers(small, 100, GET[:20]):
        for _ in range(10):
            assert once(small, GET).status == 200


@contextmanager
def few_files(soft: int) -> Iterator[None]:
    """Lower the soft limit on open files for processes started in the block."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_soft_limit_on_open_files_is_raised_to_the_hard_one() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with few_files(256), serve(quantization="int8") as served:
        assert psutil.Process(served.process.pid).rlimit(psutil.RLIMIT_NOFILE) == (hard, hard)


@pytest.mark.parametrize("limit", [40, 64])
def test_without_open_files_to_spare_connections_wait_or_are_closed_and_later_ones_are_served(limit: int) -> None:
    with serve(quantization="int8") as served:
        process = psutil.Process(served.process.pid)
        process.rlimit(psutil.RLIMIT_NOFILE, (limit, limit))
        with ExitStack() as open_ones:
            for _ in range(100):
                open_ones.enter_context(Raw(served.client.base_url)).send(GET)
            assert calm(process)
        assert eventually_healthy(served)
        assert served.embed(["a text"])


FEW_FILES = """
import resource
from server.__main__ import main
resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80))
raise SystemExit(main([]))
"""


def test_a_limit_on_open_files_lowers_the_bound_and_says_so() -> None:
    with serve("-c", FEW_FILES, quantization="int8") as served:
        with ExitStack() as open_ones:
            callers = [open_ones.enter_context(Raw(served.client.base_url)) for _ in range(100)]
            for caller in callers:
                caller.send(GET)
            statuses = [answer.status for caller in callers if (answer := caller.answer())]
        assert set(statuses) == {200}
        assert eventually_healthy(served)
    assert any("MAX_CONNECTIONS=10000 is lowered to 16" in line and "80 files" in line for line in served.lines)


def health(caller: Raw) -> int:
    caller.send(GET)
    answer = caller.answer()
    return answer.status if answer else 0


def eventually_healthy(served: Served) -> bool:
    for _ in range(50):
        try:
            with httpx.Client(base_url=served.client.base_url, timeout=10) as client:
                if client.get("/health").status_code == 200:
                    return True
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    return False


def calm(process: psutil.Process) -> bool:
    """Return whether the process uses less than half a CPU second within one second."""
    time.sleep(0.5)
    before = sum(process.cpu_times()[:2])
    time.sleep(1)
    return sum(process.cpu_times()[:2]) - before < 0.5
