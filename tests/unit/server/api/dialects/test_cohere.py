import base64
from typing import Any

import numpy as np
import orjson
import pytest

from server.api.dialects import cohere
from server.errors import CallerError, InvalidError, UnknownModelError
from server.inference.engine import Vectors
from server.model.artifact import Artifact
from server.service.embed_request import Asker
from server.settings import resolve
from tests.unit.server.fakes import result

VECTORS: Vectors = np.array([[0.6, -0.8, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1]], np.float32)


@pytest.fixture
def asker(artifact: Artifact) -> Asker:
    return Asker(resolve({}), artifact.manifest)


def parse(asker: Asker, **body: Any) -> cohere.CohereQuestion:
    return cohere.parse(orjson.dumps({"model": "tiny", "texts": ["a", "b"]} | body), asker)


def answer(asked: cohere.CohereQuestion) -> Any:
    asked.question.inputs.clear()  # as the service does
    return orjson.loads(cohere.render(asked, result(VECTORS, tokens=6)))


def test_version_2_answers_by_type(asker: Asker) -> None:
    kinds = ["float", "ubinary", "base64", "ubinary"]
    told = answer(parse(asker, embedding_types=kinds, input_type="search_query"))
    written = [base64.b64encode(row.tobytes()).decode() for row in VECTORS]
    assert told.pop("id")
    assert told.pop("embedding_space") == result(VECTORS).space
    assert told.pop("embeddings") == {
        "float": orjson.loads(orjson.dumps(VECTORS, option=orjson.OPT_SERIALIZE_NUMPY)),
        "ubinary": [[128], [1]],
        "base64": written,
    }
    assert told == {
        "response_type": "embeddings_by_type",
        "texts": ["a", "b"],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 6}},
    }


def test_version_1_answers_bare_floats_where_no_types_are_named(asker: Asker) -> None:
    bare = cohere.parse_v1(b'{"texts": ["a", "b"]}', asker)
    assert answer(bare)["response_type"] == "embeddings_floats"
    assert len(answer(bare)["embeddings"]) == 2
    typed = cohere.parse_v1(b'{"texts": ["a", "b"], "embedding_types": ["float"]}', asker)
    assert answer(typed)["embeddings"].keys() == answer(parse(asker))["embeddings"].keys() == {"float"}


def test_options(asker: Asker) -> None:
    options = {"truncate": "START", "output_dimension": 3, "max_tokens": 7, "priority": 2, "images": None}
    asked = parse(asker, input_type="search_query", **options).question
    assert (asked.prompt, asked.truncate, asked.dimensions, asked.max_tokens) == ("query: ", "START", 3, 7)
    assert parse(asker, input_type="clustering").question.prompt == ""
    assert asked.kept_bytes > 0


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        ({"images": ["data:image/png;base64,AA=="]}, InvalidError, "images cannot be embedded"),
        ({"texts": None, "images": ["data:"]}, InvalidError, "texts"),
        ({"inputs": [{"content": []}]}, InvalidError, "inputs cannot be embedded"),
        ({"texts": []}, InvalidError, "empty list"),
        ({"texts": "a"}, InvalidError, "texts"),
        ({"texts": [[1, 2]]}, InvalidError, "texts"),
        ({"model": "embed-v4.0"}, UnknownModelError, "not served"),
        ({"input_type": "image"}, InvalidError, "input_type must be one of"),
        ({"embedding_types": []}, InvalidError, "length >= 1"),
        ({"embedding_types": ["float32"]}, InvalidError, "embedding_types must be of float"),
        ({"embedding_types": ["int8"]}, InvalidError, "build it again"),
        ({"embedding_types": ["float", "binary"], "output_dimension": 4}, InvalidError, "divisible by 8"),
        ({"output_dimension": 9}, InvalidError, "output_dimension must be from 1 to 8"),
        ({"truncate": "MIDDLE"}, InvalidError, "truncate"),
    ],
)
def test_refusals(asker: Asker, body: dict[str, Any], kind: type[CallerError], said: str) -> None:
    with pytest.raises(kind, match=said):
        parse(asker, **body)


def test_images_alone_are_refused_in_words(asker: Asker) -> None:
    with pytest.raises(InvalidError, match="reads text only"):
        cohere.parse(b'{"model": "tiny", "images": ["data:"], "input_type": "image"}', asker)
    with pytest.raises(InvalidError, match="texts is missing"):
        cohere.parse(b'{"model": "tiny"}', asker)
