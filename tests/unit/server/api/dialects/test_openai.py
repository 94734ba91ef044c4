import base64
from typing import Any

import msgspec
import numpy as np
import orjson
import pytest

from server.api.dialects import openai
from server.errors import CallerError, InvalidError, UnknownModelError
from server.inference.engine import Vectors
from server.model.artifact import Artifact
from server.service.embed_request import Asker, EmbedRequest
from server.service.output import Output
from server.settings import resolve
from tests.unit.server.fakes import SPACE, result

VECTORS: Vectors = np.array([[0.6, 0.8, 0.0], [0.0, 0.6, 0.8]], np.float32)


@pytest.fixture
def asker(artifact: Artifact) -> Asker:
    return Asker(resolve({"MODEL": "me/renamed"}), artifact.manifest)


def parse(asker: Asker, **body: Any) -> openai.EmbeddingsQuestion:
    return openai.parse(orjson.dumps({"model": "tiny", "input": "a"} | body), asker)


@pytest.mark.parametrize("name", ["ada", "openai/tiny", "huggingface/tests/tiny", "hosted_vllm/ada"])
def test_aliases_and_a_gateway_s_provider_before_the_name_are_accepted(artifact: Artifact, name: str) -> None:
    aliased = Asker(resolve({"MODEL_ALIASES": "ada"}), artifact.manifest)
    assert parse(aliased, model=name).model == "tiny"


@pytest.mark.parametrize("name", ["ada", "stranger/tiny", "openai/openai/tiny", "openai/", "/tiny"])
def test_another_organisation_s_model_of_the_same_name_is_not(asker: Asker, name: str) -> None:
    with pytest.raises(UnknownModelError):
        parse(asker, model=name)


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ([1, 3, 2], [[1, 3, 2]]),
        ([[1, 3, 2], [1, 4, 2]], [[1, 3, 2], [1, 4, 2]]),
    ],
)
def test_the_four_kinds_of_input(asker: Asker, given: object, inputs: object) -> None:
    assert parse(asker, input=given).question.inputs == inputs


def test_options_of_others_beside_openai_s(asker: Asker) -> None:
    asked = parse(asker, input_type="query", truncate="START", dimensions=2, user="me", encoding_format="base64")
    assert asked.question == EmbedRequest(
        ["a"],
        prompt="query: ",
        truncate="START",
        dimensions=2,
        ignored=("user",),
        outputs=(Output(base64=True),),
    )


@pytest.mark.parametrize("name", ["tiny", "tests/tiny", "me/renamed"])
def test_the_model_by_any_of_its_names(asker: Asker, name: str) -> None:
    assert parse(asker, model=name).model == "tiny"


@pytest.mark.parametrize(
    ("body", "kind", "param"),
    [
        ({"model": "text-embedding-3-small"}, UnknownModelError, "model"),
        ({"model": None}, InvalidError, "model"),
        ({"encoding_format": "int8"}, InvalidError, "encoding_format"),
        ({"encoding_format": "base64", "output_dtype": "uint8"}, InvalidError, "output_dtype"),
        ({"embedding_type": "int8"}, InvalidError, "embedding_type"),
        ({"embedding_type": "binary", "dimensions": 4}, InvalidError, "embedding_type"),
        ({"input": ["a", 1]}, InvalidError, "input"),
        ({"input": " "}, InvalidError, "input"),
        ({"dimensions": 9}, InvalidError, "dimensions"),
        ({"truncate": "MIDDLE"}, InvalidError, "truncate"),
        ({"prompt_name": "answer"}, InvalidError, "prompt_name"),
        ({"normalize": False}, InvalidError, "normalize"),
    ],
)
def test_refusals_name_the_field(asker: Asker, body: dict[str, Any], kind: type[CallerError], param: str) -> None:
    with pytest.raises(kind) as refused:
        parse(asker, **body)
    assert refused.value.param == param


def test_the_answer_counts_tokens_and_keeps_the_order(asker: Asker) -> None:
    asked = parse(asker, input=["a", "b"])
    assert orjson.loads(openai.render(asked, result(VECTORS, tokens=6))) == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.6, 0.8, 0.0]},
            {"object": "embedding", "index": 1, "embedding": [0.0, 0.6, 0.8]},
        ],
        "model": "tiny",
        "usage": {"prompt_tokens": 6, "total_tokens": 6},
        "embedding_space": SPACE,
    }


@pytest.mark.parametrize("dimensions", [None, 2])
def test_base64_holds_the_same_bits(asker: Asker, dimensions: int | None) -> None:
    def rows(encoding_format: str) -> list[Any]:
        asked = parse(asker, input=["a", "b"], dimensions=dimensions, encoding_format=encoding_format)
        return [row["embedding"] for row in orjson.loads(openai.render(asked, result(VECTORS, tokens=6)))["data"]]

    written = [np.frombuffer(base64.b64decode(row), "<f4") for row in rows("base64")]
    np.testing.assert_array_equal(written, np.array(rows("float"), np.float32))


def test_a_model_says_who_made_it(artifact: Artifact) -> None:
    model = openai.describe_model(artifact.manifest, 1_700_000_000, SPACE)
    assert (model["id"], model["owned_by"], model["created"]) == ("tiny", "tests", 1_700_000_000)
    source = msgspec.structs.replace(artifact.manifest.source, kind="folder", id="/home/me/tiny")
    local = msgspec.structs.replace(artifact.manifest, source=source)
    assert openai.describe_model(local, 0, SPACE)["owned_by"] == "local"
