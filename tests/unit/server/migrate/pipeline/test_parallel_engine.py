import pytest

from server.migrate.pipeline.parallel_engine import ParallelEngine
from tests.unit.server.fakes import FakeEngine, MeetingEngine, first_ids, sequences


def test_runs_go_side_by_side_and_vectors_come_in_order() -> None:
    vectors = ParallelEngine(MeetingEngine(2), 2).embed(sequences(2, 7, 3, 8), 12)
    assert first_ids(vectors) == [2, 7, 3, 8]


def test_a_run_that_fails_fails_the_whole() -> None:
    engine = FakeEngine()
    engine.error = ValueError("broken")
    with pytest.raises(ValueError, match="broken"):
        ParallelEngine(engine, 2).embed(sequences(2, 7), 8)
