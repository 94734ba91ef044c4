"""A body is valid by its schema if and only if the server accepts it."""

import json
from collections.abc import Callable
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.api.dialects import cohere, embed, openai, similarity, tokens
from server.api.operation import COMPONENTS
from server.api.schemas import components
from server.errors import CallerError
from server.model.artifact import open_artifact
from server.service.embed_request import Asker
from server.service.loaded_model import LoadedModel
from tests.unit.server import tiny
from tests.unit.server.service.test_service import load

LIMITS = {"MAX_CLIENT_BATCH_SIZE": "3", "MAX_TEXT_CHARS": "12"}
STRANGE = "\0\u00ad\u0301\u200d\u20dd\u2028\u3000\ue000\ufffd\U000e0020\U000f0000"
VISIBLE = "aé漢👩!\u0378\U0001fae9\U00020000"
JUNK: st.SearchStrategy[Any] = st.sampled_from([None, True, 1, 2.5, {}, [None], [[]], [{}], "", []])
TEXT = st.text(st.sampled_from(STRANGE + VISIBLE + " "), max_size=13)
TEXTS = TEXT | st.lists(TEXT, max_size=4)
IDS = st.lists(st.integers(-1, len(tiny.WORDS)) | st.sampled_from([1, 2, 3.0, 2.5, True]), max_size=13)
WRAPPED = IDS.map(lambda ids: [tiny.CLS, *ids, tiny.SEP])
MIXED = st.lists(TEXT | st.integers(1, 3), max_size=3)
INPUT = TEXTS | IDS | WRAPPED | st.lists(IDS | WRAPPED, max_size=4) | MIXED
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXTS,
    "texts": TEXTS,
    "inputs": INPUT,
    "input": INPUT,
    "source_sentence": TEXT,
    "sentences": TEXTS,
    "input_type": st.sampled_from(["query", "document", "search_query", "passage", "Query"]),
    "prompt_name": st.sampled_from(["query", "code", "none"]),
    "truncate": st.sampled_from([True, False, "NONE", "END", "START", "end"]),
    "truncation_direction": st.sampled_from(["Left", "right", "up"]),
    "normalize": st.booleans(),
    "dimensions": st.sampled_from([0, 1, 4, 8, 9, 8.0, 1e2, -1, 10**30]),
    "output_dimension": st.sampled_from([0, 1, 4, 8, 9]),
    "embedding_types": st.lists(st.sampled_from(["float", "base64", "int8", "binary", "bits"]), max_size=8),
    "max_tokens": st.sampled_from([2, 3, 4, 100, 10**30]),
    "images": st.just(["data:"]),
    "model": st.sampled_from(
        [tiny.NAME, f"tests/{tiny.NAME}", f"openai/{tiny.NAME}", f"org/{tiny.NAME}", "bge-large-en-v1.5", "gpt"]
    ),
    "encoding_format": st.sampled_from(["float", "base64", "int8", "binary", "bytes"]),
    "output_dtype": st.sampled_from(["float", "float16", "uint8", "ubinary", "base64"]),
    "embedding_type": st.sampled_from(["float", "base64", "int8", "binary", "Float"]),
    "user": TEXT,
    "add_special_tokens": st.booleans(),
    "metadata": JUNK,
    "task": JUNK,
    "late_chunking": st.booleans(),
    "normalized": st.booleans(),
    "modality": st.sampled_from(["text", "image"]),
    "surprise": JUNK,
}
GONE = object()


class Judge:
    """A server's schemas and parsers."""

    def __init__(self, loaded: LoadedModel) -> None:
        schemas = components(loaded)
        self.asker = Asker(loaded.settings, loaded.artifact.manifest)
        self._tokenizer = loaded.tokenizer
        self._validators = {
            name: jsonschema_rs.Draft202012Validator({"$ref": COMPONENTS + name, "components": {"schemas": schemas}})
            for name in ("EmbedBody", "EmbeddingsBody", "CohereBody", "SimilarityBody", "TokenizeBody")
        }

    def agrees(self, name: str, asked: object, take: Callable[[bytes, Asker], object]) -> None:
        """Assert that `take` accepts a body if and only if it is valid by schema `name`."""
        refusal = None
        try:
            taken = take(json.dumps(asked).encode(), self.asker)
            if question := getattr(taken, "question", None):
                limit = question.max_tokens
                list(self._tokenizer.encode_each(question.inputs, question.prompt, "END", limit))
        except CallerError as error:
            refusal = error
        valid = self._validators[name].is_valid(asked)
        assert valid is (refusal is None), f"{asked!r}: {refusal or 'taken'}"


@pytest.fixture(scope="module", params=[True, False], ids=["prompts", "no prompts"])
def judge(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Judge:
    folder = tmp_path_factory.mktemp("models")
    prompts = {"query": "query: ", "code": "the "} if request.param else {}
    ranges = {"int8_ranges": [1.0] * tiny.DIMENSION} if request.param else {}
    tiny.write_model(folder, changes={"prompts": prompts, "source_normalizes": request.param} | ranges)
    return Judge(load(open_artifact(folder, tiny.NAME, "fp32"), **LIMITS))


def changed(good: Any, *fields: str) -> st.SearchStrategy[Any]:
    """Bodies with up to three of these fields replaced or removed; sometimes arbitrary JSON."""

    def apply(changes: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in (good | changes).items() if value is not GONE}

    few = st.lists(st.sampled_from([*fields, *good, "surprise"]), max_size=3, unique=True)
    # Mostly good values: a body with three bad ones tests little.
    value = {key: st.one_of(VALUES[key], VALUES[key], VALUES[key], JUNK, st.just(GONE)) for key in VALUES}
    changes = few.flatmap(lambda names: st.fixed_dictionaries({name: value[name] for name in names}))
    body = changes.map(apply)
    return st.one_of(body, body, body, JUNK)


EXTRA = ("add_special_tokens", "metadata", "task", "late_chunking", "normalized", "modality")
OPTIONS = ("input_type", "prompt_name", "truncate", "truncation_direction", "normalize", "dimensions")
ENCODING = ("encoding_format", "output_dtype", "embedding_type", "dimensions")


@pytest.mark.parametrize("key", ["text", "texts", "inputs"])
@settings(max_examples=300)
@given(data=st.data())
def test_embed(judge: Judge, key: str, data: st.DataObject) -> None:
    good = {key: "a" if key == "text" else ["a", "b"]}
    judge.agrees(
        "EmbedBody", data.draw(changed(good, *OPTIONS, *ENCODING[:2], *EXTRA, "text", "texts", "inputs")), embed.parse
    )


@settings(max_examples=500)
@given(asked=changed({"input": "a", "model": tiny.NAME}, "user", *OPTIONS, *ENCODING, *EXTRA))
def test_embeddings(judge: Judge, asked: Any) -> None:
    judge.agrees("EmbeddingsBody", asked, openai.parse)


@settings(max_examples=300)
@given(
    asked=changed(
        {"texts": ["a", "b"]}, "model", "images", "embedding_types", "output_dimension", "max_tokens", "truncate"
    )
)
def test_cohere(judge: Judge, asked: Any) -> None:
    judge.agrees("CohereBody", asked, cohere.parse)


@settings(max_examples=400)
@given(
    inputs=changed({"source_sentence": "a", "sentences": ["b", "c"]}),
    parameters=changed({}, "truncate", "truncation_direction", "prompt_name"),
)
def test_similarity(judge: Judge, inputs: Any, parameters: Any) -> None:
    judge.agrees("SimilarityBody", {"inputs": inputs, "parameters": parameters}, similarity.parse)


@settings(max_examples=300)
@given(asked=changed({"inputs": ["a", "b"]}, "prompt_name", "add_special_tokens"))
def test_tokenize(judge: Judge, asked: Any) -> None:
    judge.agrees("TokenizeBody", asked, tokens.parse)
