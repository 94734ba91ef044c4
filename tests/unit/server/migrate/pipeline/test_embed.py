from contextlib import closing
from pathlib import Path

import numpy as np

from server.migrate.pipeline.embed import Embedder
from server.migrate.pipeline.parallel_engine import ParallelEngine
from server.migrate.pipeline.vector_memo import VectorMemo
from tests.unit.server.fakes import FakeEngine, first_ids, sequences


def test_vectors_come_in_order_from_runs_of_like_length_within_the_budget() -> None:
    engine = FakeEngine()
    vectors, repeated = Embedder(ParallelEngine(engine, 1), 10, None, None).vectors(sequences(2, 7, 3, 8))
    assert first_ids(vectors) == [2, 7, 3, 8]
    assert [[len(ids) for ids in batch] for batch in engine.batches] == [[8], [7, 3], [2]]
    assert repeated == 0


def test_equal_texts_are_computed_once_in_a_window_and_after_it(tmp_path: Path) -> None:
    engine = FakeEngine()
    memo = VectorMemo(tmp_path / "memo", 8, 0)
    computer = Embedder(ParallelEngine(engine, 1), 100, None, memo)
    vectors, repeated = computer.vectors(sequences(2, 3, 2))
    assert (first_ids(vectors), repeated) == ([2, 3, 2], 1)
    vectors, repeated = computer.vectors(sequences(3, 4, 2))
    assert (first_ids(vectors), repeated) == ([3, 4, 2], 2)
    assert [[len(ids) for ids in batch] for batch in engine.batches] == [[3, 2], [4]]
    memo.close()


def test_fewer_dimensions_are_unit_vectors_again() -> None:
    computer = Embedder(ParallelEngine(FakeEngine(), 1), 100, 1, None)
    vectors, _ = computer.vectors(sequences(2, 3))
    assert computer.dimension == 1
    assert np.allclose(vectors, 1)


def test_without_texts_there_are_no_vectors(tmp_path: Path) -> None:
    with closing(VectorMemo(tmp_path / "memo", 8, 0)) as memo:
        for remembered in (None, memo):
            vectors, repeated = Embedder(ParallelEngine(FakeEngine(), 1), 100, None, remembered).vectors([])
            assert (vectors.shape, repeated) == ((0, 8), 0)
