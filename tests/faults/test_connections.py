"""Too many connections, or too few open files for them: the next ones are refused, and later ones are served."""

import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import psutil
import pytest

from tests.raw import Raw
from tests.serving import Served, serve

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


def test_one_more_than_the_limit_is_told_so_and_closed() -> None:
    with serve(quantization="int8", max_connections=10) as served, ExitStack() as open_ones:
        callers = [open_ones.enter_context(Raw(served.client.base_url)) for _ in range(10)]
        for caller in callers:
            assert health(caller) == 200
        with Raw(served.client.base_url) as one_more:
            one_more.send(GET)
            (answer,) = one_more.answers()
        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["connection"] == "close"
        assert "MAX_CONNECTIONS" in answer.error["error"]
        assert [health(caller) for caller in callers] == [200] * 10
        callers[0].socket.shutdown(2)
        assert eventually_healthy(served)


@contextmanager
def few_files(soft: int) -> Iterator[None]:
    """What is started within the block may open so many files unless it raises that itself."""
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
        assert statuses.count(200) == 16
        assert 503 in statuses
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
    """Whether a second passes in which the process hardly computes."""
    time.sleep(0.5)
    before = sum(process.cpu_times()[:2])
    time.sleep(1)
    return sum(process.cpu_times()[:2]) - before < 0.5
