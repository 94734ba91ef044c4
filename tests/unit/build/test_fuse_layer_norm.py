"""Older graphs, without LayerNormalization and with eager attention, become the graph of today's exports."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from build import inspection
from build.from_graph import FromGraph
from build.passes import UnsupportedGraphError, apply
from build.passes.fuse_layer_norm import FuseLayerNormPass
from build.passes.packing import packing_passes
from tests import tiny
from tests.unit.build import legacy
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import MEAN, Exported, count, plain, texts


@pytest.mark.parametrize(("architecture", "opset"), [("bert", 11), ("bert", 14), ("roberta", 11), ("xlm-roberta", 17)])
def test_an_older_graph_is_padding_free_and_gives_its_own_vectors(
    tmp_path: Path, run: Run, architecture: str, opset: int
) -> None:
    place = tiny.snapshot(tmp_path / "tiny", architecture, "mean")
    graph = legacy.export(place, opset)
    origin = FromGraph(inspection.read_folder(place, form="onnx"), tmp_path)
    model, passes = origin.graph()
    assert passes == (["fuse-layer-norm"] if opset < 17 else [])
    assert count(model.graph)["LayerNormalization"] == 5
    assert ("converted to 18" in origin.notes()[0]) is (opset < 18)
    own = onnx.load(graph)
    del own.graph.output[1:]
    (tmp_path / "own.onnx").write_bytes(own.SerializeToString())
    expected = run(ir.load(tmp_path / "own.onnx"), texts(5, 1, 12))
    ir.save(model, tmp_path / "model.onnx")
    packed = plain(tmp_path / "model.onnx")
    apply(packed, packing_passes(MEAN))
    vectors = run(packed, texts(5, 1, 12))
    means = np.stack([pooled(row, length) for row, length in zip(expected, (5, 1, 12), strict=True)])
    np.testing.assert_allclose(vectors, means, atol=2e-6)


def pooled(states: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    mean = states[:length].mean(0)
    return np.asarray(mean / np.linalg.norm(mean))


def test_must_not_fire_on_today_s_export(exported: Exported) -> None:
    model = plain(exported("bert"))
    assert not FuseLayerNormPass().needed(model)
    with pytest.raises(UnsupportedGraphError, match="no LayerNorm in the exporter's nine nodes"):
        FuseLayerNormPass()(model)
