from array import array

import pytest

from bench.load.connection import ServiceAnswer
from bench.load.tally import Call, Tally, latency


def call(planned: float, sent: float = 0.0, texts: int = 1) -> Call:
    return Call(planned, texts, sent=sent or planned)


def test_latency_is_counted_from_the_plan_not_from_the_sending() -> None:
    tally = Tally(10.0, 20.0)
    late = call(12.0, sent=12.5)
    tally.plan(late)
    tally.answer(late, ServiceAnswer(200, 5, retry_after=False), 13.0)
    figures = tally.figures()
    assert figures.latency.p50 == figures.latency.most == 1.0
    assert figures.late_p99 == 0.5


def test_rates_count_what_arrives_in_the_window_whenever_it_was_planned() -> None:
    tally = Tally(10.0, 20.0)
    for planned, answered in ((5.0, 9.0), (9.0, 11.0), (15.0, 16.0), (19.0, 21.0)):
        one = call(planned, texts=10)
        tally.plan(one)
        tally.answer(one, ServiceAnswer(200, 30, retry_after=False), answered)
    figures = tally.figures()
    assert (figures.texts_per_s, figures.tokens_per_s, figures.answered_texts) == (2.0, 6.0, 40)
    assert (figures.planned, figures.good) == (2, 2)
    assert figures.latency.most == 2.0


def test_nothing_planned_is_ever_forgotten() -> None:
    tally = Tally(0.0, 10.0)
    answered, refused, odd, unsent, broken, silent = calls = [call(float(second)) for second in range(6)]
    for one in calls:
        tally.plan(one)
    tally.answer(answered, ServiceAnswer(200, 1, retry_after=False), 7.0)
    tally.answer(refused, ServiceAnswer(429, 0, retry_after=True), 7.0)
    tally.answer(odd, ServiceAnswer(500, 0, retry_after=False), 7.0)
    tally.miss(unsent)
    tally.lose(broken)
    figures = tally.figures()
    assert silent not in (answered, refused)
    assert (figures.planned, figures.good, figures.unsent, figures.broken, figures.unanswered) == (6, 1, 1, 1, 1)
    assert figures.refused[0].retry_after == 1
    assert figures.faults == 3
    assert figures.tokens_per_s == pytest.approx(0.1)


def test_the_warm_up_is_not_counted() -> None:
    tally = Tally(10.0, 20.0)
    early, lost = call(9.0), call(9.5)
    tally.plan(early)
    tally.miss(early)
    tally.plan(lost)
    tally.lose(lost)
    figures = tally.figures()
    assert (figures.planned, figures.unsent, figures.broken, figures.faults) == (0, 0, 0, 0)


def test_an_answer_that_comes_after_its_caller_s_patience_is_in_no_rate() -> None:
    tally = Tally(0.0, 10.0)
    for answered in (1.4, 1.6):
        one = Call(0.0, 4, patience_s=1.5, sent=0.1)
        tally.plan(one)
        tally.answer(one, ServiceAnswer(200, 20, retry_after=False), answered)
    figures = tally.figures()
    assert (figures.good, figures.tokens_per_s, figures.answered_texts) == (2, 2.0, 4)


def test_callers_who_hang_up_are_told_from_connections_that_break() -> None:
    tally = Tally(0.0, 10.0)
    for count in (tally.lose, tally.leave):
        one = Call(0.0, 1, patience_s=1.5, sent=0.1)
        tally.plan(one)
        count(one)
    figures = tally.figures()
    assert (figures.gone, figures.broken, figures.unanswered) == (1, 1, 0)


def test_percentiles_are_of_the_nearest_rank() -> None:
    values = [float(value) for value in range(1, 1001)]
    assert latency(array("d", reversed(values))) == latency(array("d", values))
    assert (latency(array("d", values)).p50, latency(array("d", values)).p99) == (500.0, 990.0)
    assert latency(array("d", [0.25])).p50 == latency(array("d", [0.25])).most == 0.25
    assert latency(array("d")).p99 == 0.0
