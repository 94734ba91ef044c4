"""What callers and orchestrators see when inference fails, returns wrong vectors, hangs or dies."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from server.errors import INFERENCE_DIED, START_REFUSED
from tests.serving import Served, serve, start

PROGRAM = "tests.faults.faulty_server"


class Faulty:
    """A running server with fault injection."""

    def __init__(self, served: Served, switch: Path) -> None:
        self.served = served
        self._switch = switch

    def __call__(self, fault: str) -> None:
        self._switch.write_text(fault)

    def status(self, route: str = "/embed") -> int:
        """Return the status of a short embedding request, or of a GET of another route."""
        client = self.served.client
        if route == "/embed":
            return client.post(route, json={"text": "hello"}).status_code
        return client.get(route).status_code


@contextmanager
def faulty(folder: Path, **settings: object) -> Iterator[Faulty]:
    switch = folder / "fault"
    switch.write_text("")
    with serve("-m", PROGRAM, quantization="int8", fault=switch, **settings) as served:
        yield Faulty(served, switch)


@pytest.mark.parametrize("fault", ["raise", "nan", "norm", "shape"])
def test_a_failing_engine_fails_its_requests_only_and_is_unready_after_three(tmp_path: Path, fault: str) -> None:
    with faulty(tmp_path) as server:
        right = server.served.embed(["hello"])
        server(fault)
        for _ in range(3):
            assert server.status("/ready") == 200
            answer = server.served.client.post("/embed", json={"text": "hello"})
            assert answer.status_code == 500
            assert answer.json()["error_type"] == "internal"
            assert not any(word in answer.text for word in ("NaN", "nan", "detail that must not"))
        assert (server.status("/ready"), server.status("/health")) == (503, 200)
        server("")
        assert server.served.embed(["hello"]) == right
        assert server.status("/ready") == 200


def test_vectors_that_are_not_the_model_s_make_the_server_unready(tmp_path: Path) -> None:
    with faulty(tmp_path) as server:
        server("other")
        deadline = time.monotonic() + 30
        while server.status("/ready") == 200 and time.monotonic() < deadline:
            time.sleep(0.2)
        answer = server.served.client.get("/ready")
        assert answer.status_code == 503
        assert "another vector" in answer.json()["error"]
        server("")
        assert server.status("/ready") == 200


def test_a_hanging_engine_costs_its_callers_their_deadline_and_shows_in_liveness(tmp_path: Path) -> None:
    with faulty(tmp_path, request_timeout_s="0.5") as server:
        server("hang")
        assert [server.status() for _ in range(3)] == [504] * 3
        assert (server.status("/health"), server.status("/ready")) == (503, 503)
        assert server.served.metrics()["embedding_ready"] == 0
        server("")
        deadline = time.monotonic() + 30
        while server.status("/health") != 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (server.status("/health"), server.status("/ready"), server.status()) == (200, 200, 200)


def test_a_queue_behind_a_hanging_engine_stays_bounded(tmp_path: Path) -> None:
    with faulty(tmp_path, request_timeout_s="0.3", max_queue_tokens="8") as server:
        server("hang")
        seen = {server.served.client.post("/embed", json={"texts": ["a b c d", "e f"]}).status_code for _ in range(4)}
        assert seen == {504}
        server("")


def test_a_dead_inference_thread_ends_the_process(tmp_path: Path) -> None:
    with faulty(tmp_path) as server:
        server("exit")
        with pytest.raises(httpx.TransportError):
            server.status()
        assert server.served.process.wait(10) > 0
    assert any("an inference thread died" in line for line in server.served.lines)


def test_a_crash_in_the_runtime_ends_the_process(tmp_path: Path) -> None:
    with faulty(tmp_path) as server:
        server("crash")
        with pytest.raises(httpx.TransportError):
            server.status()
        assert server.served.process.wait(10) == -signal.SIGSEGV


def test_a_lost_gpu_makes_the_server_unready_by_ending_it(tmp_path: Path) -> None:
    with faulty(tmp_path) as server:
        server("lost")
        with pytest.raises(httpx.TransportError):
            server.status()
        with pytest.raises(httpx.TransportError):
            server.status("/ready")
        assert server.served.process.wait(10) == INFERENCE_DIED
    assert any("the GPU is lost: CUDA failure 719: unspecified launch failure" in line for line in server.served.lines)


def test_a_gpu_without_memory_for_a_batch_fails_that_batch_only(tmp_path: Path) -> None:
    with faulty(tmp_path) as server:
        server("memory")
        answer = server.served.client.post("/embed", json={"text": "hello"})
        assert answer.status_code == 500
        assert "too little memory" in answer.json()["error"]
        server("")
        assert server.status() == 200


def test_an_engine_that_fails_from_the_beginning_refuses_the_start(tmp_path: Path) -> None:
    switch = tmp_path / "fault"
    switch.write_text("lost")
    process = start("-m", PROGRAM, quantization="int8", fault=switch)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == START_REFUSED
    assert "does not compute on cpu: the GPU is lost: CUDA failure 719" in said
    assert "Traceback" not in said
