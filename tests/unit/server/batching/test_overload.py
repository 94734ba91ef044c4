"""The scheduler in a simulation: goodput under overload, and the latency of short queries meanwhile."""

from dataclasses import replace

import pytest

from server.batching.caller_patience import FLOOR_S
from tests.unit.server.simulation import PACE, Simulation, Traffic

# Requests of 16 texts of 200 tokens that this engine computes per second.
CAPACITY = 16_200 / 3_200
OVERLOADS = (1.5, 2, 4, 10)
SHORT = Traffic(rate=20, texts=1, shortest=8, longest=24, announced=False)
TWO_STREAMS = replace(PACE, streams=2, queue_tokens=2 * PACE.queue_tokens)


def bulk(times: float, patience_s: float, *, announced: bool) -> Traffic:
    """Requests of 16 texts at `times` the capacity of one stream."""
    return Traffic(times * CAPACITY, patience_s=patience_s, announced=announced)


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "hang up"])
@pytest.mark.parametrize(
    ("patience_s", "seed"),
    [pytest.param(0.5, 11, marks=pytest.mark.whole), (1.5, 12), pytest.param(5.0, 13, marks=pytest.mark.whole)],
)
def test_as_much_is_delivered_in_time_under_overload_as_at_capacity(
    patience_s: float, seed: int, *, announced: bool
) -> None:
    delivered = {}
    for times in (1, *OVERLOADS):
        with Simulation(seed) as simulation:
            (outcome,) = simulation.run(bulk(times, patience_s, announced=announced), warm_s=9, seconds=15)
            delivered[times] = outcome.delivered_tokens / (15 * CAPACITY * 3_200)
    for times in OVERLOADS:
        assert delivered[times] >= max(0.85, 0.9 * delivered[1]), delivered


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "hang up"])
@pytest.mark.parametrize(("times", "patience_s", "seed"), [(1.5, 1.5, 21), (4, 0.5, 22), (2, 5.0, 23)])
def test_short_queries_beside_bulk_wait_no_longer_than_where_nobody_s_patience_is_known(
    times: float, patience_s: float, seed: int, *, announced: bool
) -> None:
    outcomes = {}
    for told in (True, False):
        traffic = replace(bulk(times, patience_s, announced=announced), told=told)
        with Simulation(seed) as simulation:
            big, short = simulation.run(traffic, SHORT, warm_s=10, seconds=15)
        assert short.refused == short.gone == 0
        outcomes[told] = big.delivered_tokens, short.percentile(0.99)
    assert outcomes[True][1] <= outcomes[False][1]
    assert outcomes[True][0] > 5 * outcomes[False][0]


def test_several_streams_deliver_as_much() -> None:
    with Simulation(31, TWO_STREAMS) as simulation:
        (outcome,) = simulation.run(bulk(4, 0.5, announced=False), warm_s=10, seconds=15)
    assert outcome.delivered_tokens >= 0.9 * 15 * 2 * CAPACITY * 3_200


def test_short_queries_alone_are_delivered_too() -> None:
    many = replace(SHORT, rate=1500, patience_s=0.5)
    with Simulation(32) as simulation:
        (outcome,) = simulation.run(many, warm_s=3, seconds=5)
    assert outcome.delivered_tokens >= 0.9 * 5 * 16_200


def test_single_long_texts_get_their_share_beside_a_flood_of_short_ones() -> None:
    # Each kind asks for as much as the engine can compute.
    short = replace(SHORT, rate=16_200 / 16)
    long = Traffic(rate=16_200 / 200, texts=1, shortest=200, longest=200, announced=False)
    with Simulation(38) as simulation:
        outcomes = simulation.run(short, long, warm_s=25, seconds=20)
    assert sum(outcome.delivered_tokens for outcome in outcomes) >= 0.9 * 20 * 16_200
    few, many = sorted(outcome.refused / outcome.asked for outcome in outcomes)
    assert many - few <= 0.1, (few, many)


@pytest.mark.whole
def test_patient_callers_lose_nothing() -> None:
    outcomes = []
    for told in (True, False):
        with Simulation(33) as simulation:
            (outcome,) = simulation.run(replace(bulk(2, 60, announced=True), told=told), warm_s=15, seconds=15)
            outcomes.append((outcome.delivered_tokens, outcome.refused, outcome.gone))
    assert outcomes[0] == outcomes[1]


def test_a_patient_request_is_done_beside_many_impatient_ones() -> None:
    patient = Traffic(rate=0.5, texts=16)
    with Simulation(34) as simulation:
        _, outcome = simulation.run(bulk(4, 1.5, announced=True), patient, warm_s=5, seconds=40)
    assert outcome.percentile(1) <= 15
    assert len(outcome.latencies) >= outcome.asked // 2
    assert outcome.gone == 0


def test_a_stall_is_forgotten_within_seconds() -> None:
    traffic = bulk(2, 1.5, announced=True)
    with Simulation(35) as simulation:
        simulation.run(traffic, warm_s=5, seconds=0)
        simulation.slowdown = 200
        simulation.run(traffic, warm_s=3, seconds=0)
        simulation.slowdown = 1
        (outcome,) = simulation.run(traffic, warm_s=3, seconds=10)
    assert outcome.delivered_tokens >= 0.9 * 10 * CAPACITY * 3_200


@pytest.mark.parametrize("leave_s", [0.01, 0.3], ids=["at once", "soon"])
def test_who_hangs_up_on_purpose_keeps_nobody_out(leave_s: float) -> None:
    patient = bulk(0.5, 60, announced=False)
    with Simulation(36) as simulation:
        outcome, _ = simulation.run(patient, bulk(3, leave_s, announced=False), warm_s=5, seconds=20)
        assert simulation.scheduler.patience.bound(simulation.now) >= FLOOR_S
    assert outcome.gone == 0
    assert len(outcome.latencies) >= 0.1 * outcome.asked


@pytest.mark.whole
def test_patience_is_forgotten_once_callers_are_patient() -> None:
    with Simulation(37) as simulation:
        simulation.run(bulk(2, 1.5, announced=False), warm_s=5, seconds=0)
        assert simulation.scheduler.patience.bound(simulation.now) < 1.5
        simulation.run(bulk(0.5, 60, announced=False), warm_s=240, seconds=0)
        assert simulation.scheduler.patience.bound(simulation.now) > 60
