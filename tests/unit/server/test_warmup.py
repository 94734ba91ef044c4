import numpy as np
import pytest

from server.cost import CostModel
from server.errors import StartError
from server.settings import resolve
from server.warmup import MOST_TOKENS, check_batch, plan_pace, warm
from tests.unit.server.fakes import FakeEngine

SLOW = CostModel(run_s=0.01, token_s=0.001, pair_s=0.0, packed=True)


def test_a_batch_that_cannot_hold_the_longest_text_is_refused_by_name() -> None:
    with pytest.raises(StartError, match="MAX_BATCH_TOKENS=100: must be at least 512"):
        check_batch(resolve({"MAX_BATCH_TOKENS": "100"}), 512)
    check_batch(resolve({"MAX_BATCH_TOKENS": "512"}), 512)
    check_batch(resolve({}), 512)


def test_auto_takes_the_smallest_batch_that_is_fast_enough_and_holds_the_longest_text() -> None:
    assert plan_pace(SLOW, resolve({}), 256, "cpu").batch_tokens == 323
    assert plan_pace(SLOW, resolve({}), 512, "cpu").batch_tokens == 512
    never_enough = CostModel(1.0, 1e-9, 0.0, packed=True)
    assert plan_pace(never_enough, resolve({}), 512, "cpu").batch_tokens == MOST_TOKENS["cpu"]


def test_slices_of_large_requests_are_smaller_where_that_costs_little() -> None:
    assert plan_pace(SLOW, resolve({}), 512, "cpu").slice_tokens == 90
    no_overhead = CostModel(0.0, 0.001, 0.0, packed=True)
    assert plan_pace(no_overhead, resolve({}), 512, "cpu").slice_tokens == 64
    assert plan_pace(CostModel(1.0, 1e-9, 0.0, packed=True), resolve({}), 512, "cpu").slice_tokens == 4096


def test_auto_queues_what_takes_ten_seconds_and_never_less_than_a_few_batches() -> None:
    pace = plan_pace(SLOW, resolve({}), 512, "cpu")
    assert pace.queue_tokens == round(10 * pace.tokens_per_s)
    slower = CostModel(1.0, 0.1, 0.0, packed=True)
    assert plan_pace(slower, resolve({}), 512, "cpu").queue_tokens == 8 * 512


def test_settings_overrule_what_was_measured() -> None:
    pace = plan_pace(SLOW, resolve({"MAX_BATCH_TOKENS": "700", "MAX_QUEUE_TOKENS": "7"}), 512, "cpu")
    assert (pace.batch_tokens, pace.queue_tokens) == (700, 7)


def test_warming_runs_the_longest_text_first_and_the_largest_batch_before_serving() -> None:
    engine = FakeEngine(max_tokens=16)
    warmed = warm(engine, [1, 3, 2], resolve({"MAX_BATCH_TOKENS": "64"}), "cpu", packed=True)
    shapes = [(len(batch), len(batch[0])) for batch in engine.batches]
    assert shapes[0] == (1, 16)
    assert max(shapes) == (4, 16)
    assert warmed.pace.batch_tokens == 64
    np.testing.assert_array_equal(warmed.vector, engine.embed([warmed.ids])[0])
