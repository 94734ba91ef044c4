"""The source graph in ONNX Runtime gives what sentence-transformers gives, setting by setting."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from build import inspection
from build.errors import BuildError
from build.expected import PromptedTexts
from build.from_graph import FromGraph
from build.reference import Reference
from tests.unit.build.graphs import Exported, change, with_export

TEXTS = ["the cat sat on the mat", "CAFÉ on a BLUE river", "a", "the server " * 60]
POOLINGS = [["cls"], ["max"], ["mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]]


@pytest.fixture
def place(tmp_path: Path, exported: Exported) -> Path:
    """A folder of the tiny BERT that the export is of."""
    return with_export(tmp_path / "tiny", exported)


def same(place: Path, prompt: str | None = None) -> None:
    reading = inspection.read_folder(place, form="onnx")
    graph, torch = FromGraph(reading, place).source(), Reference(reading.snapshot, reading.settings)
    assert graph.tokenizer().to_str() == torch.tokenizer().to_str()
    assert graph.unpooled() == torch.unpooled()
    assert [graph.ids(text, "") for text in TEXTS] == [torch.ids(text, "") for text in TEXTS]
    vectors = graph.vectors(PromptedTexts(prompt, TEXTS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, torch.vectors(PromptedTexts(prompt, TEXTS)), atol=1e-6)


@pytest.mark.parametrize("modes", POOLINGS, ids="+".join)
@pytest.mark.parametrize("include_prompt", [True, False])
def test_poolings_and_prompts(place: Path, modes: list[str], include_prompt: bool) -> None:
    config = {"word_embedding_dimension": 32, "pooling_mode": modes, "include_prompt": include_prompt}
    (place / "1_Pooling" / "config.json").write_text(json.dumps(config))
    same(place, "query")


def test_lower_case_length_and_default_prompt(place: Path) -> None:
    change(place / "sentence_bert_config.json", do_lower_case=True, max_seq_length=20)
    change(place / "config_sentence_transformers.json", default_prompt_name="query")
    tokenizer = json.loads((place / "tokenizer.json").read_text())
    (place / "tokenizer.json").write_text(json.dumps({**tokenizer, "normalizer": None}))
    same(place)


def test_a_graph_that_pools_otherwise_than_the_settings_say_is_refused(place: Path) -> None:
    path = place / "onnx" / "model.onnx"
    model = onnx.load(path)
    states = model.graph.output[0].name
    model.graph.node.append(onnx.helper.make_node("ReduceMax", [states], ["sentence_embedding"], keepdims=0, axes=None))
    model.graph.node[-1].input.append("axis_1")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1], np.int64), "axis_1"))
    model.graph.output.append(onnx.helper.make_tensor_value_info("sentence_embedding", 1, ["batch", 32]))
    onnx.save(model, path)
    with pytest.raises(BuildError, match="with another pooling or other layers"):
        FromGraph(inspection.read_folder(place, form="onnx"), place).source().vectors(PromptedTexts(None, TEXTS))
