"""Intervals contain the truth, a small sample has wide ones, and the queries grow until they are clear."""

import numpy as np
import pytest

from server.choose.evaluation import AGREEMENT, RECALL, STEPS
from server.choose.interval import Loss, clear, looks, losses

STEP = STEPS[AGREEMENT]


def test_queries_double_until_there_are_no_more() -> None:
    assert looks(1600) == [100, 200, 400, 800, 1600]
    assert looks(250) == [100, 200, 250]
    assert looks(60) == [60]


def test_a_loss_is_relative_and_in_pairs_with_the_reference() -> None:
    reference = np.full(500, 0.5)
    steady, mixed = reference - 0.05, reference - np.tile([0.1, 0.0], 250)
    for loss in losses(np.stack([steady, mixed]), reference, 1, STEP):
        assert loss.mean == pytest.approx(0.1)
    exact, wide = losses(np.stack([steady, mixed]), reference, 1, STEP)
    assert exact.low == pytest.approx(0.1)
    assert 0.08 < wide.low < 0.1 < wide.high < 0.12
    assert losses(-reference[None, :] + 2 * reference, reference, 1, STEP)[0].mean == 0


def test_an_interval_is_wider_with_fewer_queries_and_more_looks() -> None:
    drawn = np.random.default_rng(1).random(1600) * 0.02
    wide, narrow = (losses(1 - drawn[None, :count], np.ones(count), 1, STEP)[0] for count in (100, 1600))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    often = losses(1 - drawn[None, :], np.ones(1600), 5, STEP)[0]
    assert often.high - often.low > narrow.high - narrow.low


def test_the_worse_end_is_beyond_the_truth_as_often_as_it_says() -> None:
    """Also where losses are rare, which plain resampling underestimates: it says 97.5 % and keeps 92.7 %."""
    generator = np.random.default_rng(2)
    for share in (0.02, 0.05, 0.5):
        drawn = np.where(generator.random((1000, 200)) < share, STEP, 0.0)
        high = np.array([loss.high for loss in losses(1 - drawn, np.ones(200), 1, STEP)])
        assert (high >= share * STEP).mean() >= 0.965


def test_relevance_s_worse_end_holds_where_a_query_loses_its_only_text() -> None:
    """The reference reaches 0.4, and a few of the queries that find their text lose it: 5 % of what it reaches."""
    reference = np.tile([1.0, 1.0, 0.0, 0.0, 0.0], 40)
    own = np.where(np.random.default_rng(3).random((1000, 200)) < 0.05, 0, reference)
    step = STEPS[RECALL]
    assert np.mean([loss.high >= 0.05 for loss in losses(own, reference, 1, step)]) >= 0.965
    assert losses(reference[None, :], reference, 1, step)[0].high >= (1 - 0.025 ** (1 / 200)) / 0.4


def test_no_loss_in_a_few_queries_is_no_proof_of_none() -> None:
    few, many = (losses(np.ones((1, count)), np.ones(count), 1, STEP)[0] for count in (50, 1600))
    assert few.mean == few.low == 0
    assert few.high == pytest.approx(STEP * (1 - 0.025 ** (1 / 50)))
    assert many.high < few.high / 20


@pytest.mark.parametrize(
    ("loss", "is_clear"),
    [
        (Loss(0.001, 0.0, 0.004), True),
        (Loss(0.02, 0.006, 0.03), True),
        (Loss(0.005, 0.004, 0.007), False),
        (Loss(0.005, 0.0045, 0.0056), True),
    ],
)
def test_an_interval_is_clear_off_the_budget_or_if_it_is_narrow(loss: Loss, is_clear: bool) -> None:
    assert clear([loss, Loss(0, 0, 0)], 0.005) is is_clear
