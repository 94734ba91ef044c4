import time
from collections.abc import Sequence

import numpy as np
import pytest

from server.batching.calibration import (
    MOST_TOKENS,
    QUICK_S,
    check_batch,
    check_streams,
    measure,
    plan_pace,
    warm,
)
from server.batching.cost_model import CostModel
from server.errors import StartError
from server.inference.device import DeviceName
from server.inference.engine import Tokens, Vectors
from server.settings import resolve
from tests.unit.server.fakes import FakeEngine, MeetingEngine

SLOW = CostModel(run_s=0.01, token_s=0.001, pair_s=0.0, packed=True)
TEXT = np.array([1, 3, 2], np.int64)


def test_a_batch_that_cannot_hold_the_longest_text_is_refused_by_name() -> None:
    with pytest.raises(StartError, match="MAX_BATCH_TOKENS=100: must be at least 512"):
        check_batch(resolve({"MAX_BATCH_TOKENS": "100"}), 512)
    check_batch(resolve({"MAX_BATCH_TOKENS": "512"}), 512)
    check_batch(resolve({}), 512)


def test_auto_takes_the_smallest_batch_that_is_fast_enough_and_holds_the_longest_text() -> None:
    assert plan_pace(SLOW, resolve({}), 256).batch_tokens == 323
    assert plan_pace(SLOW, resolve({}), 512).batch_tokens == 512
    never_enough = CostModel(1.0, 1e-9, 0.0, packed=True)
    assert plan_pace(never_enough, resolve({}), 512).batch_tokens == MOST_TOKENS["cpu"]


def test_slices_of_large_requests_are_smaller_where_that_costs_little() -> None:
    assert plan_pace(SLOW, resolve({}), 512).slice_tokens == 90
    no_overhead = CostModel(0.0, 0.001, 0.0, packed=True)
    assert plan_pace(no_overhead, resolve({}), 512).slice_tokens == 64
    assert plan_pace(CostModel(1.0, 1e-9, 0.0, packed=True), resolve({}), 512).slice_tokens == 4096


def test_auto_queues_what_takes_five_seconds_and_never_less_than_a_few_batches() -> None:
    pace = plan_pace(SLOW, resolve({}), 512)
    assert pace.queue_tokens == round(5 * pace.tokens_per_s)
    slower = CostModel(1.0, 0.1, 0.0, packed=True)
    assert plan_pace(slower, resolve({}), 512).queue_tokens == 8 * 512


def test_settings_overrule_what_was_measured() -> None:
    pace = plan_pace(SLOW, resolve({"MAX_BATCH_TOKENS": "700", "MAX_QUEUE_TOKENS": "7"}), 512)
    assert (pace.batch_tokens, pace.queue_tokens) == (700, 7)


def test_warming_runs_the_longest_text_first_and_the_largest_batch_before_serving() -> None:
    engine = FakeEngine(max_tokens=16)
    settings = resolve({"MAX_BATCH_TOKENS": "64"})
    warmed = warm(engine, TEXT, settings, measure(engine, TEXT, packed=True), 1)
    shapes = [(len(batch), len(batch[0])) for batch in engine.batches]
    assert shapes[0] == (1, 16)
    assert max(shapes) == (4, 16)
    assert warmed.pace.batch_tokens == 64
    np.testing.assert_array_equal(warmed.vector, engine.embed([warmed.ids])[0])


def test_the_largest_batches_of_all_streams_run_at_once_before_serving() -> None:
    engine = MeetingEngine(3, size=4)
    pace = warm(engine, TEXT, resolve({"MAX_BATCH_TOKENS": "64"}), SLOW, 3).pace
    assert [len(batch) for batch in engine.batches] == [4, 4, 4, 1]
    assert (pace.streams, pace.tokens_per_s) == (3, 3 * SLOW.tokens_per_s(64))
    assert pace.queue_tokens == 3 * round(5 * SLOW.tokens_per_s(64))


@pytest.mark.parametrize(
    ("streams", "device", "message"), [("4", "cpu", "2 inference threads"), ("2", "cuda", "on a GPU")]
)
def test_more_streams_than_can_run_are_refused_by_name(streams: str, device: DeviceName, message: str) -> None:
    with pytest.raises(StartError, match=f"STREAMS={streams}: .*{message}"):
        check_streams(resolve({"STREAMS": streams}), 2, device)
    check_streams(resolve({"STREAMS": "1"}), 2, device)
    check_streams(resolve({}), 2, device)


def test_any_number_of_streams_up_to_that_of_the_threads_is_taken() -> None:
    for streams in ("1", "2", "3"):
        check_streams(resolve({"STREAMS": streams}), 3, "cpu")


def test_the_longest_text_is_timed_again_where_it_is_quick() -> None:
    def lengths(pause_s: float) -> list[int]:
        engine = FakeEngine(max_tokens=64)
        embed = engine.embed

        def slow(sequences: Sequence[Tokens]) -> Vectors:
            time.sleep(pause_s if len(sequences[0]) == 64 else 0)
            return embed(sequences)

        engine.embed = slow  # type: ignore[method-assign]
        measure(engine, TEXT, packed=True)
        return [len(batch[0]) for batch in engine.batches]

    assert lengths(0) == [64, 64, 8, 8, 8, 8]
    assert lengths(QUICK_S + 0.05) == [64, 8, 8, 8, 8]


def test_the_cost_is_that_beside_the_other_streams() -> None:
    engine = MeetingEngine(2, max_tokens=64)
    measure(engine, TEXT, packed=True, streams=2)
    assert len(engine.batches) == 12
