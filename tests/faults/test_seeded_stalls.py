"""Half a core, and suspensions of up to three seconds: liveness probes succeed, and deadlines hold."""

import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil
import pytest

from tests.serving import Served, serve

pytestmark = pytest.mark.alone

STOP_S = 3.0
REQUEST_S = 2.0
# Run and pause intervals that emulate a CPU quota of half a core, with or without a container.
_SLICE_S = 0.02


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """A server on one core with a request timeout shorter than a suspension."""
    with serve(quantization="int8", request_timeout_s=REQUEST_S) as served:
        psutil.Process(served.process.pid).cpu_affinity([0])
        for thread in psutil.Process(served.process.pid).threads():
            psutil.Process(thread.id).cpu_affinity([0])
        yield served


@contextmanager
def halved(process: psutil.Process) -> Iterator[None]:
    """Suspend a process for half of the time during the block."""
    end = threading.Event()

    def run() -> None:
        while not end.wait(_SLICE_S):
            process.suspend()
            time.sleep(_SLICE_S)
            process.resume()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
        process.resume()


def test_stops_and_half_a_core_make_no_probe_fail_and_deadlines_hold(server: Served, chance: random.Random) -> None:
    process = psutil.Process(server.process.pid)
    statuses: list[int] = []
    asking = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=server.client.base_url, timeout=60) as client:
            while not asking.is_set():
                body = {"texts": [f"text {chance.random()}"] * chance.randint(1, 20)}
                statuses.append(client.post("/embed", json=body).status_code)

    callers = [threading.Thread(target=ask, daemon=True) for _ in range(3)]
    for caller in callers:
        caller.start()
    try:
        time.sleep(chance.uniform(0, 0.3))
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(chance.uniform(0.5, 1) * STOP_S)
        server.process.send_signal(signal.SIGCONT)
        probes = [server.client.get("/health").status_code for _ in range(5)]
        with halved(process):
            probes += [server.client.get("/health").status_code for _ in range(20)]
    finally:
        server.process.send_signal(signal.SIGCONT)
        asking.set()
        for caller in callers:
            caller.join(60)
    assert set(probes) == {200}
    # Only requests delayed beyond their timeout by a suspension get 504.
    assert set(statuses) <= {200, 504}
    assert server.embed(["a text"])
    assert server.client.get("/ready").status_code == 200
