"""Inference faults at random times: after a random number of successful runs, with random callers.

`make reliability` repeats each of these; tests/faults/test_engine_fails.py has the deterministic cases.
"""

import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from server.errors import INFERENCE_DIED
from tests.faults.test_engine_fails import Faulty, faulty
from tests.raw import Raw, post

pytestmark = pytest.mark.alone

SOONEST_S = 0.5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    """A server with fault injection and a short request timeout."""
    with faulty(tmp_path_factory.mktemp("faulty"), request_timeout_s=SOONEST_S, streams=1) as made:
        yield made


def embed_some(server: Faulty, chance: random.Random) -> None:
    for _ in range(chance.randrange(6)):
        texts = [f"text {chance.randrange(10**6)}" for _ in range(chance.randint(1, 8))]
        assert len(server.served.embed(texts)) == len(texts)


def recovers(server: Faulty) -> bool:
    server("")
    deadline = time.monotonic() + 30
    while server.status() != 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    return [server.status(route) for route in ("/embed", "/health", "/ready")] == [200] * 3


@pytest.mark.parametrize("fault", ["raise", "memory"])
def test_a_batch_that_raises_fails_alone(server: Faulty, chance: random.Random, fault: str) -> None:
    embed_some(server, chance)
    right = server.served.embed(["hello"])
    server(fault)
    assert server.status() == 500
    server("")
    assert server.served.embed(["hello"]) == right
    assert server.status("/ready") == 200


@pytest.mark.parametrize("fault", ["nan", "norm", "shape"])
def test_vectors_that_cannot_be_right_are_never_answered(server: Faulty, chance: random.Random, fault: str) -> None:
    embed_some(server, chance)
    server(fault)
    for _ in range(3):
        answer = server.served.client.post("/embed", json={"text": f"text {chance.randrange(10**6)}"})
        assert answer.status_code == 500
        assert "nan" not in answer.text.lower()
    assert (server.status("/ready"), server.status("/health")) == (503, 200)
    assert recovers(server)


def test_a_hang_costs_its_callers_their_deadline(server: Faulty, chance: random.Random) -> None:
    embed_some(server, chance)
    server("hang")
    assert {server.status() for _ in range(chance.randint(2, 4))} == {504}
    assert (server.status("/health"), server.status("/ready")) == (503, 503)
    assert server.served.metrics()["embedding_queue_tokens"] < 100
    assert recovers(server)


def test_callers_that_hang_up_leave_nothing_behind(server: Faulty, chance: random.Random) -> None:
    with ExitStack() as open_ones:
        callers = [open_ones.enter_context(Raw(server.served.client.base_url)) for _ in range(chance.randint(2, 40))]
        for number, caller in enumerate(callers):
            caller.send(post(b'{"texts": ["text %d of %d", "another"]}' % (number, chance.randrange(10**6))))
        time.sleep(chance.uniform(0, 0.05))
        chance.shuffle(callers)
        for caller in callers[: chance.randint(1, len(callers))]:
            caller.socket.close()
    assert server.served.shows(embedding_queue_requests=0, embedding_queue_tokens=0)
    assert server.status() == 200


def test_a_death_in_inference_ends_the_process(tmp_path: Path, chance: random.Random) -> None:
    fault, status = chance.choice((("crash", -signal.SIGSEGV), ("exit", INFERENCE_DIED)))
    with faulty(tmp_path) as mortal:
        embed_some(mortal, chance)
        mortal(fault)
        with pytest.raises(httpx.TransportError):
            mortal.status()
        assert mortal.served.process.wait(10) == status


def test_a_lost_gpu_ends_the_process(tmp_path: Path, chance: random.Random) -> None:
    with faulty(tmp_path) as mortal:
        embed_some(mortal, chance)
        mortal("lost")
        with pytest.raises(httpx.TransportError):
            mortal.status()
        assert mortal.served.process.wait(10) == INFERENCE_DIED
