"""Graphs in one file or in two: the same numbers, whichever it is."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from build import graph_files
from build.variants import batch_int8
from tests.unit.build.graphs import Exported, packed, plain

IDS = np.array([[2, 7, 9, 3], [2, 8, 3, 0]])
ASKED = {"input_ids": IDS, "attention_mask": (IDS > 0).astype(np.int64)}


@pytest.fixture
def model(exported: Exported) -> ir.Model:
    """A tiny model's padding-free graph."""
    return packed(exported("bert"))


def vectors(path: Path) -> np.ndarray:
    return np.asarray(ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, ASKED)[0])


def test_two_files_hold_what_one_does(model: ir.Model, tmp_path: Path) -> None:
    one, two = tmp_path / "one.onnx", tmp_path / "two.onnx"
    graph_files.save(model, one)
    graph_files.save(model, two, largest=1000)
    assert graph_files.of(one) == [one]
    assert graph_files.of(two) == [two, tmp_path / "two.onnx.data"]
    assert two.stat().st_size < one.stat().st_size / 2
    assert np.array_equal(vectors(two), vectors(one))
    graph_files.save(ir.load(two), tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == one.read_bytes()


def test_the_number_of_files_follows_the_weights_size(model: ir.Model, tmp_path: Path) -> None:
    weights = sum(value.const_value.nbytes for value in model.graph.initializers.values())
    path = tmp_path / "m.onnx"
    for largest, files in ((weights - 1, 2), (weights, 1)):
        graph_files.save(model, path, largest)
        assert len(graph_files.of(path)) == files


def test_equal_graphs_give_equal_files(exported: Exported, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        graph_files.save(packed(exported("bert")), tmp_path / name / "m.onnx", largest=0)
    for file in ("m.onnx", "m.onnx.data"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_large_weights_begin_where_a_file_can_be_mapped_into_memory(tmp_path: Path) -> None:
    tensors = [ir.Tensor(np.ones(size, np.float32), name=str(size)) for size in (300_000, 1000, 400_000)]
    values = [ir.Value(name=tensor.name, const_value=tensor) for tensor in tensors]
    model = ir.Model(ir.Graph([], [], nodes=[], initializers=values, opset_imports={"": 18}), ir_version=10)
    graph_files.save(model, tmp_path / "m.onnx", largest=0)
    saved = onnx.load(tmp_path / "m.onnx", load_external_data=False).graph.initializer
    offsets = [int(next(entry.value for entry in one.external_data if entry.key == "offset")) for one in saved]
    assert offsets[0] % 65536 == offsets[2] % 65536 == 0


@pytest.mark.parametrize("external", [False, True])
def test_a_model_in_memory_computes_the_same(model: ir.Model, tmp_path: Path, external: bool) -> None:
    graph_files.save(model, tmp_path / "m.onnx", largest=0 if external else graph_files.LARGEST)
    session = graph_files.Session(ir.load(tmp_path / "m.onnx"))
    assert np.array_equal(session.run(None, ASKED)[0], vectors(tmp_path / "m.onnx"))


def test_int8_of_a_graph_as_exported_is_the_same_from_two_files(exported: Exported, tmp_path: Path) -> None:
    one, two = tmp_path / "one.onnx", tmp_path / "two.onnx"
    for path, largest in ((one, graph_files.LARGEST), (two, 0)):
        graph_files.save(batch_int8(plain(exported("bert")), largest), path)
    assert np.array_equal(vectors(one), vectors(two))


def test_constants_of_nodes_are_read_from_the_second_file(exported: Exported, tmp_path: Path) -> None:
    """Exporters put them there, too."""
    path, second = tmp_path / "model.onnx", "model.onnx_data"
    model = onnx.load(exported("bert"))
    everything = {"size_threshold": 0, "convert_attribute": True}
    onnx.save_model(model, path, save_as_external_data=True, location=second, **everything)
    read = graph_files.load(path)
    assert any(isinstance(value.const_value, ir.ExternalTensor) for value in read.graph.initializers.values())
    asked = ASKED | {"token_type_ids": np.zeros_like(IDS)}
    expected = graph_files.Session(ir.load(exported("bert"))).run(None, asked)[0]
    assert np.array_equal(graph_files.Session(read).run(None, asked)[0], expected)
    graph_files.save(read, tmp_path / "one.onnx")
    (tmp_path / second).unlink()
    assert np.array_equal(graph_files.Session(ir.load(tmp_path / "one.onnx")).run(None, asked)[0], expected)
