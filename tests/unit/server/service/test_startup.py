from pathlib import Path

import pytest
import tokenizers

from server.errors import InvalidError
from server.inference.engine import OnnxEngine, Resources
from server.service import startup
from server.service.startup import load, start_engine
from server.settings import resolve
from tests.unit.server import tiny


def test_a_token_that_the_graph_has_no_embedding_for_is_the_caller_s_error(models_dir: Path) -> None:
    """A model built before the build checked this is still served, and only such texts fail."""
    path = models_dir / f"{tiny.NAME}.tokenizer.json"
    made = tokenizers.Tokenizer.from_file(str(path))
    made.add_tokens(["extraordinary", "remarkable"])
    made.save(str(path))
    tiny.write_manifest(models_dir)
    loaded = load(resolve({"MODELS_DIR": str(models_dir), "MODEL": tiny.NAME, "DEVICE": "cpu"}))
    engine, _ = start_engine(loaded)
    known, unknown = loaded.tokenizer.encode(["a cat"])[0], len(tiny.WORDS)
    assert engine.embed([known.ids]).shape == (1, tiny.DIMENSION)
    for inputs in (["a cat", "an extraordinary cat"], [known.ids, [tiny.CLS, unknown, tiny.SEP]]):
        with pytest.raises(InvalidError, match=f"index 1 has a token, with the id {unknown}, .* end at {unknown - 1}"):
            loaded.tokenizer.encode(inputs)


def test_a_model_with_an_embedding_for_each_token_takes_them_all(models_dir: Path) -> None:
    loaded = load(resolve({"MODELS_DIR": str(models_dir), "MODEL": tiny.NAME, "DEVICE": "cpu"}))
    start_engine(loaded)
    assert loaded.tokenizer.computable == len(tiny.WORDS)


@pytest.mark.parametrize(("streams", "pool"), [(1, 8), (4, 5), (8, 1)])
def test_streams_share_all_threads(models_dir: Path, monkeypatch: pytest.MonkeyPatch, streams: int, pool: int) -> None:
    """The pool that callers share has as many workers as they leave threads: ONNX Runtime counts one caller in it."""
    opened: list[int] = []

    def open_engine(path: Path, dimension: int, max_tokens: int, resources: Resources) -> OnnxEngine:
        opened.append(resources.threads)
        return OnnxEngine(path, dimension, max_tokens, resources)

    monkeypatch.setattr(startup, "OnnxEngine", open_engine)
    given = {"MODELS_DIR": str(models_dir), "MODEL": tiny.NAME, "DEVICE": "cpu", "THREADS": "8"}
    assert start_engine(load(resolve(given | {"STREAMS": str(streams)})))[1].pace.streams == streams
    assert opened == [pool]
