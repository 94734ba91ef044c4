"""GPU calibration on a simulated engine of known speed and memory."""

import logging
import time
from collections.abc import Sequence

import numpy as np
import pytest

from server.batching import gpu_calibration
from server.batching.calibration import warm_gpu
from server.batching.cost_model import Load
from server.batching.gpu_calibration import Timed, enough, largest_first
from server.errors import GpuMemoryError, StartError
from server.inference.engine import Tokens, Vectors
from server.settings import resolve
from tests.unit.server.fakes import FakeEngine

TEXT = np.array([1, 3, 2], np.int64)


class Gpu(FakeEngine):
    """Advances a virtual clock by the cost of each run, token and pair; its memory holds `most` tokens."""

    def __init__(self, most: int, run_s: float = 0.01, token_s: float = 1e-5, pair_s: float = 0.0) -> None:
        super().__init__(max_tokens=16)
        self.most = most
        self.costs = run_s, token_s, pair_s
        self.now = 0.0

    def embed(self, sequences: Sequence[Tokens]) -> Vectors:
        vectors = super().embed(sequences)
        lengths = [len(sequence) for sequence in sequences]
        if sum(lengths) > self.most:
            raise GpuMemoryError("too little memory")
        run, token, pair = self.costs
        self.now += run + token * sum(lengths) + pair * sum(length**2 for length in lengths)
        return vectors


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    made = Gpu(most=10**9)
    monkeypatch.setattr(time, "perf_counter", lambda: made.now)
    return made


def test_the_largest_batch_runs_first_then_its_halves_down_to_one_text(gpu: Gpu) -> None:
    assert [run.load.texts for run in largest_first(gpu, TEXT, 80)] == [5, 2, 1]
    assert {len(text) for batch in gpu.batches for text in batch} == {16}


def test_a_batch_that_memory_does_not_hold_is_halved_aloud(gpu: Gpu, caplog: pytest.LogCaptureFixture) -> None:
    gpu.most = 40
    with caplog.at_level(logging.WARNING):
        timed = largest_first(gpu, TEXT, 128)
    assert [run.load.tokens for run in timed] == [32, 16]
    assert [record.getMessage() for record in caplog.records] == [
        "the GPU's memory does not hold a batch of 128 tokens: halved to 64",
        "the GPU's memory does not hold a batch of 64 tokens: halved to 32",
    ]


def test_memory_for_not_even_one_text_stops_the_start_with_what_to_do(gpu: Gpu) -> None:
    gpu.most = 8
    with pytest.raises(StartError, match=r"one text of 16 tokens: see `nvidia-smi`.*GPU_MEMORY_MB"):
        largest_first(gpu, TEXT, 64)


def test_the_smallest_batch_that_is_nearly_as_fast_as_the_fastest_is_enough() -> None:
    runs = [Timed(Load(1, tokens), tokens / speed) for tokens, speed in ((64, 100.0), (32, 98.0), (16, 90.0))]
    assert enough(runs, 0.97) == 32
    assert enough(runs, 0.8) == 16


def test_warming_a_gpu_fits_run_token_and_attention(gpu: Gpu) -> None:
    gpu.costs = 0.01, 1e-4, 1e-5
    pace = warm_gpu(gpu, TEXT, resolve({}), packed=True).pace
    assert (pace.cost.run_s, pace.cost.token_s, pace.cost.pair_s) == pytest.approx(gpu.costs, rel=1e-6)
    # At 0.01 s per run and 2.6e-4 s per token, 97 % of the speed takes at least 1,250 tokens, in texts of 16.
    assert 1250 <= pace.batch_tokens <= 4096


def test_a_batch_that_was_asked_for_is_kept_where_memory_holds_it(gpu: Gpu) -> None:
    settings = resolve({"MAX_BATCH_TOKENS": "64"})
    assert warm_gpu(gpu, TEXT, settings, packed=True).pace.batch_tokens == 64
    gpu.most = 40
    assert warm_gpu(gpu, TEXT, settings, packed=True).pace.batch_tokens == 32


def test_any_other_failure_is_no_lack_of_memory(gpu: Gpu) -> None:
    gpu.error = RuntimeError("something else")
    with pytest.raises(RuntimeError, match="something else"):
        gpu_calibration.largest_first(gpu, TEXT, 64)
