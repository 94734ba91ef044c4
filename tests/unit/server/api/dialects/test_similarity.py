from typing import Any

import numpy as np
import orjson
import pytest

from server.api.dialects import similarity
from server.errors import InvalidError, TooLargeError
from server.model.artifact import Artifact
from server.service.embed_request import Asker, EmbedRequest
from server.settings import resolve
from tests.unit.server.fakes import result


@pytest.fixture
def asker(artifact: Artifact) -> Asker:
    return Asker(resolve({"MAX_CLIENT_BATCH_SIZE": "3"}), artifact.manifest)


def ask(asker: Asker, sentences: Any, **parameters: Any) -> EmbedRequest:
    body = {"inputs": {"source_sentence": "a", "sentences": sentences}, "parameters": parameters or None}
    return similarity.parse(orjson.dumps(body), asker).question


def test_the_source_comes_first(asker: Asker) -> None:
    assert ask(asker, ["b", "c"]) == EmbedRequest(["a", "b", "c"], outputs=())
    asked = ask(asker, ["b"], truncate=True, truncation_direction="Left", prompt_name="query")
    assert asked == EmbedRequest(["a", "b"], prompt="query: ", truncate="START", outputs=())


def test_no_sentences_and_too_many_are_refused(asker: Asker) -> None:
    with pytest.raises(InvalidError, match="sentences is an empty list"):
        ask(asker, [])
    with pytest.raises(TooLargeError, match="4 texts, the limit is 3"):
        ask(asker, ["b", "c", "d"])


def test_the_answer_is_the_cosines() -> None:
    vectors = np.array([[0.6, 0.8], [0.6, 0.8], [-0.6, -0.8], [0.8, -0.6]], np.float32)
    asked = similarity.SimilarityQuestion(EmbedRequest(["a", "b", "c", "d"]))
    same, opposite, across = orjson.loads(similarity.render(asked, result(vectors)))
    assert same == pytest.approx(1)
    assert opposite == pytest.approx(-1)
    assert across == pytest.approx(0, abs=1e-6)
    assert -1 <= opposite <= same <= 1
