"""The graph's picture: its counts, and that the one in the documents is current."""

import math
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import onnx
import pytest

from build import picture
from build.sources import synthetic
from tests.serving import MINILM, MODELS, ROOT

FULL = synthetic.NAME


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return onnx.load(MODELS / f"{MINILM}.onnx")


@pytest.fixture(scope="module")
def full() -> picture.Outline:
    """Load the full-size graph once."""
    return picture.outline(onnx.load(MODELS / f"{FULL}.onnx"), FULL)


def test_minilm_is_pooled_by_mean_and_its_layers_are_alike(model: onnx.ModelProto) -> None:
    outlined = picture.outline(model, MINILM)
    assert [block.name for block in outlined.blocks if block.layer is None] == [
        *("sorting", "packing", "embeddings", "layer.1 … layer.5", "pooling", "normalize", "restoring"),
    ]
    assert {block.layer for block in outlined.blocks} == {None, 0}
    weights = [one for one in model.graph.initializer if one.data_type == onnx.TensorProto.FLOAT and one.dims]
    assert outlined.parameters == sum(math.prod(one.dims) for one in weights)


def test_bge_large_has_the_size_that_the_documents_tell(full: picture.Outline) -> None:
    # 24 layers, hidden 1024, feed-forward 4096; without pooler, second token type and folded biases.
    layer = 4 * 1024 * 1024 + 2 * 1024 * 4096 + 4096 + 4 * 1024 + 3 * 1024
    assert full.parameters == (30522 + 512 + 1 + 2) * 1024 + 24 * layer
    assert f"{full.parameters / 1e6:.0f} M" in (ROOT / "docs" / "architecture.md").read_text("utf-8")
    last = [block for block in full.blocks if block.layer == 23]
    assert any("[CLS] rows alone" in block.about for block in last)
    assert not any(block.name == "pooling" for block in full.blocks)


def test_the_documents_show_the_graph_that_is_built(full: picture.Outline) -> None:
    kept = (ROOT / "docs" / "charts" / "graph.svg").read_text("utf-8")
    assert kept == picture.draw(full), f"draw it again: make picture MODEL={FULL}"


def test_every_word_is_within_the_picture(tmp_path: Path) -> None:
    assert picture.main([str(MODELS / f"{MINILM}.onnx"), str(tmp_path / "minilm.svg")]) == 0
    drawn = ET.parse(tmp_path / "minilm.svg").getroot()  # noqa: S314 - trusted
    width, height = float(drawn.attrib["width"]), float(drawn.attrib["height"])
    texts = [one for one in drawn.iter() if one.tag.endswith("text")]
    assert len(texts) > 20
    for one in texts:
        assert 0 < float(one.attrib["y"]) < height
        assert len(one.text or "") * 6 < width


def test_a_graph_that_is_not_built_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert picture.main([str(tmp_path / "nobody.onnx"), str(tmp_path / "x.svg")]) == 1
    assert re.search(r"nobody.onnx is not built: make build-models MODEL=nobody", capsys.readouterr().err)
