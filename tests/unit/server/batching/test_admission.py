"""Admission in a case that the simulation does not cover: batches that take longer than callers wait."""

from dataclasses import replace

from server.batching.admission import Admission, Demand
from server.batching.caller_patience import Patience
from server.batching.cost_model import CostModel
from server.batching.deadlines import Timetable
from server.batching.job import Job
from server.batching.throughput import Speed
from tests.unit.server.simulation import PACE

SLOW = replace(PACE, cost=CostModel(run_s=0.05, token_s=0.004, pair_s=0, packed=True))


def none_wait() -> Timetable[Job]:
    return Timetable([], 100.5, 1)


def test_who_leaves_within_a_batch_has_nobody_refused_behind_one() -> None:
    patience = Patience()
    for _ in range(1000):
        patience.note(0.3, 99.0, left=True)
    assert patience.bound(100.0) <= 0.3
    short = Demand.of([10], SLOW, deadline=160.0, since=100.0)
    Admission(SLOW, Speed(), patience).check(short, 100.5, none_wait, 100.0)
