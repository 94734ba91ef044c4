"""Loads on a real socket, on a fake clock."""

import itertools
import json
import statistics
from collections.abc import Callable

import pytest

from bench.load.call import MANY
from bench.load.figures import Figures
from bench.load.load import LoadScenario, arrivals, run
from tests.unit.bench.load.fake import Fake, serving
from tests.unit.fake_clock import BACKEND


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Run the tests of this file on a fake clock."""
    return BACKEND


async def put(
    load: LoadScenario, answer: Callable[[str], int | float | None] = lambda _body: 0.01
) -> tuple[Figures, Fake]:
    """Run a load on a fake service; return the figures and the service."""
    async with serving(answer) as fake:
        texts = (f"text {number}" for number in itertools.count())
        return await run(load, fake.port, texts.__next__), fake


def test_arrivals_are_poisson_and_the_same_for_one_seed() -> None:
    due = list(arrivals(100.0, 100.0, seed=3))
    gaps = [after - before for before, after in itertools.pairwise(due)]
    assert due == list(arrivals(100.0, 100.0, seed=3)) != list(arrivals(100.0, 100.0, seed=4))
    assert due == sorted(due)
    assert due[-1] < 100.0
    assert len(due) == pytest.approx(10_000, rel=0.05)
    # The standard deviation of an exponential distribution equals its mean.
    assert statistics.stdev(gaps) == pytest.approx(statistics.mean(gaps), rel=0.05)


async def test_the_open_loop_sends_what_was_planned_though_answers_are_slow() -> None:
    load = LoadScenario("mixed", seconds=0.5, warm_s=0.0, rate=100.0)
    figures, fake = await put(load, lambda _body: 0.3)
    planned = list(arrivals(load.rate, load.seconds, load.seed))
    assert figures.planned == figures.good == len(fake.bodies) == len(planned)
    assert len({json.loads(body)["text"] for body in fake.bodies}) == len(planned)
    assert figures.latency.p50 >= 0.295
    assert fake.most_at_once > 10


async def test_beyond_its_connections_the_open_loop_counts_what_it_could_not_send() -> None:
    figures, fake = await put(LoadScenario("mixed", 0.5, 0.0, rate=100.0, connections=2), lambda _body: 0.2)
    assert figures.unsent > 0
    assert figures.planned == figures.unsent + figures.good
    assert fake.connections == 2


async def test_the_closed_loop_keeps_each_client_waiting_for_one_answer() -> None:
    figures, fake = await put(LoadScenario("mixed", 0.4, 0.0, clients=3), lambda _body: 0.01)
    assert fake.most_at_once == fake.connections == 3
    assert figures.planned == figures.good > 3
    assert figures.tokens_per_s == pytest.approx(5 * figures.texts_per_s)


async def test_several_texts_go_into_one_request() -> None:
    figures, fake = await put(LoadScenario("mixed", 0.2, 0.0, texts=4, clients=1, dialect=MANY))
    assert json.loads(fake.bodies[0])["texts"] == ["text 0", "text 1", "text 2", "text 3"]
    assert figures.answered_texts == 4 * len(fake.bodies)


async def test_the_refused_come_again_and_are_counted() -> None:
    answers = itertools.cycle([429, 200])
    figures, _ = await put(LoadScenario("mixed", 0.5, 0.0, clients=2), lambda _body: next(answers))
    assert figures.outcomes["429"].count > 1
    assert figures.outcomes["429"].retry_after == figures.outcomes["429"].count
    assert figures.faults == 0


async def test_a_broken_connection_is_counted_and_replaced() -> None:
    answers = itertools.chain([None], itertools.repeat(0.01))
    figures, fake = await put(LoadScenario("mixed", 0.3, 0.0, clients=1), lambda _body: next(answers))
    assert figures.broken == figures.faults == 1
    assert figures.good > 1
    assert fake.connections == 2


async def test_what_is_never_answered_is_counted() -> None:
    figures, _ = await put(LoadScenario("mixed", 0.1, 0.0, drain_s=0.1, clients=2), lambda _body: 0.9)
    assert (figures.planned, figures.unanswered, figures.good) == (2, 2, 0)


async def test_nobody_listens() -> None:
    async with serving() as fake:
        port = fake.port
    figures = await run(LoadScenario("mixed", 0.2, 0.0, clients=2), port, lambda: "text")
    assert figures.planned == figures.broken >= 2


async def test_callers_hang_up_when_their_patience_ends() -> None:
    load = LoadScenario("mixed", 0.3, 0.0, drain_s=0.3, rate=20.0, patience_s=0.1)
    figures, fake = await put(load, lambda _body: 0.9)
    assert figures.gone == figures.planned == len(fake.bodies) > 0
    assert (figures.good, figures.broken, figures.unanswered) == (0, 0, 0)


async def test_callers_who_announce_their_patience_stay() -> None:
    load = LoadScenario("mixed", 0.3, 0.0, drain_s=0.5, rate=20.0, patience_s=0.05, announced=True)
    figures, _ = await put(load, lambda _body: 0.1)
    assert (figures.gone, figures.good, figures.texts_per_s) == (0, figures.planned, 0)
