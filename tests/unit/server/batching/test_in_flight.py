import pytest

from server.batching.cost_model import CostModel, Load
from server.batching.in_flight import Batch, InFlight
from tests.unit.server.fakes import clocked


def batch() -> Batch:
    return Batch([], [], Load())


def test_as_many_run_as_there_are_streams_and_each_may_have_one_prepared() -> None:
    hand = InFlight(2, lambda: 0.0)
    first, second, third, fourth = (batch() for _ in range(4))
    assert (hand.give(first), hand.idle, hand.may_prepare) == (first, True, False)
    assert (hand.give(second), hand.idle, hand.may_prepare) == (second, False, True)
    assert (hand.give(third), hand.may_prepare) == (None, True)
    assert (hand.give(fourth), hand.may_prepare, len(hand)) == (None, False, 4)


def test_one_that_ends_makes_way_for_the_oldest_prepared_whichever_it_was() -> None:
    hand = InFlight(2, lambda: 0.0)
    first, second, third, fourth = (batch() for _ in range(4))
    for each in (first, second, third, fourth):
        hand.give(each)
    assert [hand.end(each) for each in (second, first, third, fourth)] == [third, fourth, None, None]
    assert (len(hand), hand.idle) == (0, True)


def test_the_oldest_that_runs_shows_how_long() -> None:
    hand = InFlight(2, clocked(1.0, 3.0, 10.0, 11.0))
    first, second = batch(), batch()
    assert hand.running_s == 0
    hand.give(first)
    hand.give(second)
    assert hand.running_s == 9
    hand.end(first)
    assert hand.running_s == 8


def test_what_is_left_is_the_rest_of_what_runs_and_all_that_is_prepared() -> None:
    cost = CostModel(run_s=0.0, token_s=1.0, pair_s=0.0, packed=True)
    hand = InFlight(2, clocked(0.0, 0.0, 3.0))
    for tokens in (10, 2, 6):
        hand.give(Batch([], [], Load().plus(tokens)))
    assert hand.left_s(cost, 1.0) == pytest.approx((7 + 0 + 6) / 2)
    assert hand.left_s(cost, 2.0) == pytest.approx((17 + 1 + 12) / 2)
