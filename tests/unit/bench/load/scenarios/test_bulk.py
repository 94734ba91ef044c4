from bench.load.figures import Figures
from bench.load.scenarios.bulk import BulkPair, judge
from tests.unit.bench.load.made import figures

BULK = figures(500, 2.0)


def pair(alone: float, beside: float, bulk: Figures = BULK) -> BulkPair:
    return BulkPair(figures(20, alone), figures(20, beside), bulk)


def test_the_median_round_decides() -> None:
    assert [v.met for v in judge([pair(0.01, 0.029), pair(0.01, 0.09), pair(0.02, 0.05)])] == [True, True]
    assert [v.met for v in judge([pair(0.01, 0.031), pair(0.01, 0.09), pair(0.02, 0.05)])] == [False, True]


def test_a_bulk_caller_that_is_refused_has_not_loaded_the_server() -> None:
    assert [v.met for v in judge([pair(0.01, 0.01, figures(5, planned=51, broken=1))])] == [True, False]


def test_queries_that_were_never_answered_are_not_quick() -> None:
    silent = Figures(10.0, 5, 0, 5, 0, {}, 0.0, 0.0, 0, 0.0, 5)
    assert [v.met for v in judge([BulkPair(silent, silent, BULK)])] == [False, False]
    assert [v.met for v in judge([BulkPair(figures(20, 0.01), silent, BULK)])] == [False, False]
