"""A model's own ONNX file is read as it is, or refused by what is wrong with it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

from build import graph_files, source_graph
from build.errors import BuildError
from build.sources import folder
from tests import tiny
from tests.unit.build.graphs import Exported

Change = Callable[[Path], object]


@pytest.fixture
def place(tmp_path: Path, exported: Exported) -> Path:
    """A model's folder with its export as onnx/model.onnx; the path of the latter."""
    tiny.write_settings(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    graph = tmp_path / "onnx" / "model.onnx"
    graph.parent.mkdir()
    shutil.copyfile(exported("bert"), graph)
    return graph


def load(graph: Path) -> onnx.ModelProto:
    return source_graph.load(folder.read(graph.parents[1], "onnx"))


def changed(change: Callable[[onnx.GraphProto], object]) -> Change:
    def apply(path: Path) -> None:
        model = onnx.load(path)
        change(model.graph)
        onnx.save(model, path)

    return apply


def _output(name: str) -> Change:
    def rename(graph: onnx.GraphProto) -> None:
        old, graph.output[0].name = graph.output[0].name, name
        graph.node.append(helper.make_node("Identity", [old], [name]))

    return changed(rename)


def _halved(graph: onnx.GraphProto) -> None:
    table = graph.initializer[0]
    table.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(table).astype(np.float16), table.name))


def _external(path: Path, location: str, claimed: int) -> None:
    model = onnx.load(path)
    table = model.graph.initializer[0]
    if claimed:
        table.dims[:] = [claimed // 128, 32]
    table.ClearField("raw_data")
    table.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(claimed or 18816))):
        table.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())


def _custom(graph: onnx.GraphProto) -> None:
    graph.node[0].domain = "evil.example"


def _branching(graph: onnx.GraphProto) -> None:
    body = helper.make_graph([], "body", [], [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])])
    graph.node.append(helper.make_node("If", ["input_ids"], ["x"], then_branch=body, else_branch=body))


def _opset(path: Path) -> None:
    model = onnx.load(path)
    model.opset_import[0].version = 7
    onnx.save(model, path)


def _fixed(graph: onnx.GraphProto) -> None:
    graph.input[0].type.tensor_type.shape.dim[1].dim_value = 128


def _narrow(graph: onnx.GraphProto) -> None:
    graph.input[0].type.tensor_type.elem_type = TensorProto.INT32


DAMAGES: dict[str, tuple[Change, str]] = {
    "half": (lambda path: path.write_bytes(path.read_bytes()[:20000]), "no ONNX file, or not all of it is there"),
    "empty": (lambda path: path.write_bytes(b""), "its outputs are none"),
    "other": (lambda path: path.write_text("not found"), "no ONNX file"),
    "pointer": (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    "int8": (lambda path: quantize_dynamic(path, path), "quantized already"),
    "fp16": (changed(_halved), "numbers in FLOAT16: a conversion"),
    "custom": (changed(_custom), "outside the ONNX standard (evil.example::"),
    "branches": (changed(_branching), "it branches (If)"),
    "opset": (_opset, "its opset is 7"),
    "pooled": (_output("sentence_embedding"), "pooled already"),
    "no mask": (changed(lambda graph: graph.input.__delitem__(1)), "its inputs are input_ids, token_type_ids"),
    "fixed": (changed(_fixed), "not one of any batch and length"),
    "int32": (changed(_narrow), "is not int64"),
    "3 GB": (lambda path: _external(path, "model.onnx_data", 3_000_000_000), "no file beside it"),
    "outside": (lambda path: _external(path, "../model.safetensors", 0), "no file beside it"),
    "absolute": (lambda path: _external(path, "/etc/passwd", 0), "no file beside it"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_no_plain_export_is_refused_by_name(place: Path, damage: str) -> None:
    change, message = DAMAGES[damage]
    change(place)
    with pytest.raises(BuildError) as raised:
        load(place)
    assert message in str(raised.value)


def test_weights_in_a_file_beside_it_are_read_and_must_be_whole(place: Path) -> None:
    model = onnx.load(place)
    onnx.save_model(model, place, save_as_external_data=True, location="model.onnx_data", size_threshold=1)
    data = place.with_name("model.onnx_data")
    read = source_graph.load(folder.read(place.parents[1], "onnx"))
    assert source_graph.is_external(read)
    assert source_graph.rows(read) == tiny.tokenizer().get_vocab_size()
    data.write_bytes(data.read_bytes()[:-4])
    with pytest.raises(BuildError, match=r"model\.onnx_data is not whole"):
        load(place)


def test_links_of_the_hub_s_cache_are_followed(place: Path) -> None:
    blob = place.parents[1] / "blob"
    place.rename(blob)
    place.symlink_to(blob)
    assert source_graph.rows(load(place)) == tiny.tokenizer().get_vocab_size()


def test_weights_beside_it_are_read_through_links_too(place: Path) -> None:
    everything = {"size_threshold": 0, "convert_attribute": True}
    onnx.save_model(onnx.load(place), place, save_as_external_data=True, location="model.onnx_data", **everything)
    blobs = place.parents[1] / "blobs"
    blobs.mkdir()
    for number, path in enumerate((place, place.with_name("model.onnx_data"))):
        path.symlink_to(path.rename(blobs / str(number)))
    read = source_graph.load(folder.read(place.parents[1], "onnx"))
    assert not list(graph_files.external_constants(read))
    assert source_graph.rows(read) == tiny.tokenizer().get_vocab_size()


def test_a_constant_outside_is_refused(place: Path) -> None:
    model = onnx.load(place)
    outside = helper.make_tensor("outside", TensorProto.FLOAT, [1], b"\0\0\0\0", raw=True)
    external_data_helper.set_external_data(outside, "/etc/hostname")
    outside.ClearField("raw_data")
    model.graph.node.append(helper.make_node("Constant", [], ["unused"], value=outside))
    place.write_bytes(model.SerializeToString())
    with pytest.raises(BuildError, match="is no file beside it"):
        load(place)


def test_a_folder_without_a_graph_is_refused(place: Path) -> None:
    place.unlink()
    with pytest.raises(BuildError, match=r"has no onnx/model\.onnx or model\.onnx"):
        load(place)
