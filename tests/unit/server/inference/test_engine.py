from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import GraphInputError, InferenceError, StartError
from server.inference import engine
from server.inference.engine import OnnxEngine, Resources, check_vectors, split, split_packed
from server.model.artifact import Artifact
from tests.unit.server import tiny

CPU = Resources("cpu", threads=1, batch_tokens=32)


@pytest.fixture
def tiny_engine(artifact: Artifact) -> OnnxEngine:
    return OnnxEngine(artifact.model_path, tiny.DIMENSION, tiny.MAX_TOKENS, CPU)


@given(lengths=st.lists(st.integers(1, 512), max_size=200), budget=st.integers(512, 4096))
def test_split_loses_nothing_and_keeps_the_budget(lengths: list[int], budget: int) -> None:
    runs = split(lengths, budget)
    assert sorted(position for run in runs for position in run) == list(range(len(lengths)))
    assert all(max(lengths[position] for position in run) * len(run) <= budget for run in runs)


@given(lengths=st.lists(st.integers(1, 512), max_size=200))
def test_split_bounds_padding(lengths: list[int]) -> None:
    for run in split(lengths, 100_000):
        size = max(lengths[position] for position in run) * len(run)
        padding = size - sum(lengths[position] for position in run)
        assert padding <= max(engine.RUN_OVERHEAD_TOKENS, size // 8)


@given(st.lists(st.integers(1, 512), max_size=60), st.integers(512, 4096))
def test_split_packed_loses_nothing_and_counts_real_tokens(lengths: list[int], budget: int) -> None:
    runs = split_packed(lengths, budget)
    assert sorted(position for run in runs for position in run) == list(range(len(lengths)))
    assert all(sum(lengths[position] for position in run) <= budget for run in runs)
    flat = [lengths[position] for run in runs for position in run]
    assert flat == sorted(flat, reverse=True)


def test_split_packed_puts_texts_of_any_length_together() -> None:
    assert len(split_packed([512, 3, 200, 9], 1024)) == 1
    assert split_packed([600], 512) == [[0]]
    assert split_packed([], 512) == []


def test_split_puts_equal_lengths_into_one_run() -> None:
    assert len(split([128] * 8, 1024)) == 1
    assert split([], 1024) == []


def test_vectors_are_unit_and_in_the_order_asked(tiny_engine: OnnxEngine) -> None:
    sequences = [[1, 3, 2], [1, 4, 4, 4, 5, 10, 11, 12, 2], [1, 5, 2], [1, 11, 12, 13, 14, 15, 10, 2]] * 5
    together = tiny_engine.embed(sequences)
    alone = np.concatenate([tiny_engine.embed([sequence]) for sequence in sequences])
    assert together.shape == (20, tiny.DIMENSION)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("word", "said"), [(tiny.NAN_WORD, "not finite"), (tiny.ZERO_WORD, "not of unit length"), (99, "inference failed")]
)
def test_what_is_not_a_unit_vector_never_gets_out(tiny_engine: OnnxEngine, word: int, said: str) -> None:
    with pytest.raises(InferenceError, match=said):
        tiny_engine.embed([[1, word, 2]])
    assert tiny_engine.embed([[1, 3, 2]]).shape == (1, tiny.DIMENSION)


def test_an_id_without_an_embedding_is_not_said_to_be_worth_repeating(tiny_engine: OnnxEngine) -> None:
    with pytest.raises(GraphInputError) as caught:
        tiny_engine.embed([[1, 99, 2]])
    assert "repeated" not in str(caught.value)


@pytest.mark.parametrize("shape", [(2, 3), (1, 4), (3,)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InferenceError, match="returned float32"):
        check_vectors(np.ones(shape, np.float32), 1, 3)


def test_a_graph_of_another_dimension_than_its_manifest_is_refused(artifact: Artifact) -> None:
    with pytest.raises(StartError, match=r"tiny\.onnx returns .* 9 components"):
        OnnxEngine(artifact.model_path, 9, tiny.MAX_TOKENS, CPU)


def test_a_graph_with_another_output_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(tiny.graph(tiny.table(), output="last_hidden_state"))
    with pytest.raises(StartError, match="expected sentence_embedding"):
        OnnxEngine(path, tiny.DIMENSION, tiny.MAX_TOKENS, CPU)


def test_a_file_that_is_no_graph_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(StartError, match=r"broken\.onnx could not be loaded on cpu"):
        OnnxEngine(path, tiny.DIMENSION, tiny.MAX_TOKENS, CPU)


def test_a_session_that_fell_back_to_the_cpu_is_refused(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    session = onnxruntime.InferenceSession

    def fall_back(path: Path, options: object, providers: list[tuple[str, object]], enable_fallback: int) -> object:
        assert [name for name, _ in providers] == ["CUDAExecutionProvider"]
        assert not enable_fallback
        return session(path, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", fall_back)
    with pytest.raises(StartError, match=r"DEVICE=cuda: .* fell back .*runtime-gpu\.txt"):
        OnnxEngine(artifact.model_path, tiny.DIMENSION, tiny.MAX_TOKENS, Resources("cuda", 1, 32))
