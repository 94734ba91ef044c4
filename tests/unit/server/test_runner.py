import threading
from collections.abc import Sequence

import numpy as np
import pytest

from server.engine import Tokens, Vectors
from server.runner import Runner
from tests.unit.server.fakes import FakeEngine, first_ids


class Meeting(FakeEngine):
    """An engine that computes nothing until two runs are under way."""

    def __init__(self) -> None:
        super().__init__()
        self._meet = threading.Barrier(2)

    def embed(self, sequences: Sequence[Tokens]) -> Vectors:
        self._meet.wait(10)
        return super().embed(sequences)


def sequences(*lengths: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    return [np.full(length, length, np.int64) for length in lengths]


def test_runs_go_side_by_side_and_vectors_come_in_order() -> None:
    engine = Meeting()
    vectors = Runner(engine, 2).embed(sequences(2, 7, 3, 8), 12)
    assert first_ids(vectors) == [2, 7, 3, 8]


def test_a_run_that_fails_fails_the_whole() -> None:
    engine = FakeEngine()
    engine.error = ValueError("broken")
    with pytest.raises(ValueError, match="broken"):
        Runner(engine, 2).embed(sequences(2, 7), 8)
