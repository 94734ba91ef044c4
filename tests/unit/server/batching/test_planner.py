from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.batching.cost_model import CostModel, Load, Pace
from server.batching.planner import ALIKE, PASSED, BatchLimits, BatchPlan, plan

LONGEST = 64
FAR = 1e9
PADDED = CostModel(run_s=32.0, token_s=1.0, pair_s=0.0, packed=False)
PACKED = CostModel(run_s=32.0, token_s=1.0, pair_s=0.01, packed=True)
_names = count()


def unique() -> bytes:
    return str(next(_names)).encode()


@dataclass(frozen=True, eq=False)
class Text:
    tokens: int
    deadline: float = FAR
    settled: bool = False
    due: float = 0.0
    small: bool = False
    key: bytes = field(default_factory=unique)


TEXTS = st.lists(
    st.builds(
        Text,
        tokens=st.integers(1, LONGEST),
        deadline=st.sampled_from([0.0, FAR]),
        settled=st.booleans(),
        due=st.sampled_from([0.0, 5.0]),
        small=st.booleans(),
        key=st.just(b"same") | st.builds(unique),
    ),
    max_size=60,
)
COSTS = st.sampled_from([PADDED, PACKED])
BUDGETS = st.integers(LONGEST, 4 * LONGEST)


def limits(budget: int) -> BatchLimits:
    return BatchLimits(tokens=budget, bulk_tokens=budget, horizon=FAR)


@given(texts=TEXTS, budget=BUDGETS, cost=COSTS)
def test_every_text_that_is_looked_at_has_one_place_and_the_budget_holds(
    texts: list[Text], budget: int, cost: CostModel
) -> None:
    left = iter(texts)
    planned = plan(left, cost, limits(budget), now=1.0)
    placed = planned.batch + planned.expired + planned.waiting + list(left)
    assert {text for text in texts if not text.settled} <= set(placed)
    assert len(placed) == len(set(placed))
    assert cost.computed(planned.load) <= budget
    assert all(text.deadline <= 1.0 for text in planned.expired)
    assert not any(text.settled or text.deadline <= 1.0 for text in planned.batch + planned.waiting)


@given(texts=TEXTS, budget=BUDGETS, cost=COSTS)
def test_the_first_in_turn_always_goes(texts: list[Text], budget: int, cost: CostModel) -> None:
    alive = [text for text in texts if not text.settled and text.deadline > 1.0]
    assert plan(iter(texts), cost, limits(budget), now=1.0).batch[:1] == alive[:1]


@given(texts=TEXTS, budget=BUDGETS, cost=COSTS)
def test_the_load_counts_each_different_text_once(texts: list[Text], budget: int, cost: CostModel) -> None:
    planned = plan(iter(texts), cost, limits(budget), now=1.0)
    different = {text.key: text.tokens for text in reversed(planned.batch)}
    assert (planned.load.texts, planned.load.tokens) == (len(different), sum(different.values()))


@given(old=st.integers(1, LONGEST), lengths=st.lists(st.integers(1, LONGEST), min_size=1, max_size=30), cost=COSTS)
def test_no_length_starves_under_newer_arrivals(old: int, lengths: list[int], cost: CostModel) -> None:
    pending = [Text(length) for length in lengths] + [last := Text(old)]
    for _ in range(len(lengths) + 1):
        left = iter(pending)
        planned = plan(left, cost, limits(LONGEST), now=1.0)
        if last in planned.batch:
            return
        pending = planned.waiting + list(left) + [Text(length) for length in lengths]
    pytest.fail("the older text never went")


def test_with_padding_a_batch_holds_texts_of_like_length() -> None:
    texts = [Text(length) for length in (10, 64, 10, 64, 12)]
    planned = plan(iter(texts), PADDED, limits(1024), 0.0)
    assert [text.tokens for text in planned.batch] == [10, 10, 12]
    assert [text.tokens for text in planned.waiting] == [64, 64]


def test_without_padding_any_lengths_share_a_batch() -> None:
    texts = [Text(length) for length in (10, 64, 10, 64, 12)]
    assert plan(iter(texts), PACKED, limits(1024), 0.0).batch == texts


def test_what_does_not_fit_is_passed_by_shorter_texts() -> None:
    texts = [Text(60), Text(64), Text(10)]
    planned = plan(iter(texts), PACKED, limits(100), 0.0)
    assert planned == BatchPlan(
        [texts[0], texts[2]], [], [texts[1]], Load(2, 70, 3700, 60), {texts[0].key, texts[2].key}
    )


def test_planning_looks_at_a_bounded_number_of_texts() -> None:
    looked = count()

    def endless() -> Iterator[Text]:
        while True:
            next(looked)
            yield Text(LONGEST)

    plan(endless(), PADDED, limits(8 * LONGEST), 0.0)
    assert next(looked) <= PASSED + 8


def test_a_full_batch_ends_the_search() -> None:
    texts = iter([Text(50), Text(50), Text(50)])
    plan(texts, PACKED, limits(100), 0.0)
    assert len(list(texts)) == 1


def test_texts_of_large_requests_do_not_fill_up_a_batch_for_small_ones_before_their_turn() -> None:
    small, due, early = Text(10, small=True, due=4.0), Text(10, due=4.0), Text(10, due=5.0)
    bounds = BatchLimits(tokens=100, bulk_tokens=100, horizon=5.0)
    assert plan(iter([small, due, early]), PACKED, bounds, 0.0).batch == [small, due]
    assert plan(iter([due, early, small]), PACKED, bounds, 0.0).batch == [due, early, small]


def test_a_batch_that_begins_with_a_large_request_has_its_own_limit() -> None:
    bounds = BatchLimits(tokens=100, bulk_tokens=20, horizon=0.0)
    large, small = [Text(10) for _ in range(5)], [Text(10, small=True) for _ in range(5)]
    assert plan(iter(large), PACKED, bounds, 0.0).batch == large[:2]
    assert plan(iter(small), PACKED, bounds, 0.0).batch == small


def test_one_stream_takes_all_that_a_batch_holds() -> None:
    pace = Pace(PACKED, batch_tokens=256, slice_tokens=64, queue_tokens=9999)
    assert BatchLimits.of_pace(pace, 10, 5.0, sliced=False) == BatchLimits(256, 256, 5.0)
    assert BatchLimits.of_pace(pace, 10, 5.0, sliced=True) == BatchLimits(256, 64, 5.0)


@pytest.mark.parametrize(("waiting", "tokens"), [(10, 64), (180, 100), (10_000, 256)])
def test_several_streams_share_what_waits_where_that_costs_no_speed(waiting: int, tokens: int) -> None:
    pace = Pace(PACKED, batch_tokens=256, slice_tokens=64, queue_tokens=9999, streams=2)
    assert BatchLimits.of_pace(pace, waiting, 5.0, sliced=False) == BatchLimits(tokens, tokens, 5.0)
    assert BatchLimits.of_pace(pace, waiting, 5.0, sliced=True) == BatchLimits(tokens, 64, 5.0)


def test_a_large_request_that_a_batch_would_outlast_is_given_up_before_its_deadline() -> None:
    large, small, later = Text(10, deadline=5.0), Text(10, deadline=5.0, small=True), Text(10, deadline=7.0)
    planned = plan(iter([large, small, later]), PACKED, limits(100), now=4.0, lead_s=2.0)
    assert (planned.batch, planned.expired) == ([small, later], [large])


def test_of_texts_that_are_all_the_same_only_some_are_looked_at() -> None:
    left = iter([Text(1, key=b"same") for _ in range(50_000)])
    planned = plan(left, PACKED, limits(LONGEST), now=1.0)
    assert planned.load.texts == 1
    assert len(planned.batch) + len(planned.waiting) == 50_000 - len(list(left)) <= 2 * ALIKE
