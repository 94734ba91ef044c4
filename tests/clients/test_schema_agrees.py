"""What a body's schema calls valid is what the server takes, and nothing else."""

import json
from collections.abc import Callable
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.artifact import open_artifact
from server.errors import CallerError
from server.loaded import Loaded
from server.question import Asker
from server.schemas import components
from server.wire import embed, openai, similarity, tokens
from server.wire.fields import COMPONENTS
from tests.unit.server import tiny
from tests.unit.server.test_service import load

LIMITS = {"MAX_CLIENT_BATCH_SIZE": "3", "MAX_TEXT_CHARS": "12"}
STRANGE = [
    "\0",
    "\u00ad",
    "\u0301",
    "\u200d",
    "\u20dd",
    "\ue000",
    "\ufffd",
    "\u3000",
    "\U000e0020",
    "\U000f0000",
    "\u2028",
]
VISIBLE = ["a", "é", "漢", "👩", "\u0378", "\U0001fae9", "!", "\U00020000"]
SOME_TEXT = st.text(st.sampled_from([*STRANGE, *VISIBLE, " "]), max_size=13)
IDS = st.lists(st.integers(-1, len(tiny.WORDS)) | st.sampled_from([1, 2, 3.0, 2.5, True]), max_size=13)
WRAPPED_IDS = IDS.map(lambda ids: [tiny.CLS, *ids, tiny.SEP])
JUNK: st.SearchStrategy[Any] = st.sampled_from([None, True, 1, 2.5, {}, [None], [[]], [{}], "", []])
ANY_IDS = IDS | WRAPPED_IDS
ANY_TEXTS = SOME_TEXT | st.lists(SOME_TEXT, max_size=4)
ANY_INPUT = (
    ANY_TEXTS | ANY_IDS | st.lists(ANY_IDS, max_size=4) | st.lists(SOME_TEXT | st.integers(1, 3), max_size=3) | JUNK
)
OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "input_type": st.sampled_from(["query", "document", "search_query", "passage", "Query", ""]) | JUNK,
    "prompt_name": st.sampled_from(["query", "code", "none"]) | JUNK,
    "truncate": st.sampled_from([True, False, "NONE", "END", "START", "end", "true"]) | JUNK,
    "truncation_direction": st.sampled_from(["Left", "right", "up"]) | JUNK,
    "normalize": st.booleans() | JUNK,
    "dimensions": st.sampled_from([0, 1, 8, 9, 8.0, 1e2, -1, 10**30]) | JUNK,
}


class Judge:
    """One server's schemas, and how it takes bodies."""

    def __init__(self, loaded: Loaded) -> None:
        schemas = components(loaded)
        self.asker = Asker(loaded.settings, loaded.artifact.manifest)
        self._tokenizer = loaded.tokenizer
        self._validators = {
            name: jsonschema_rs.Draft202012Validator({"$ref": COMPONENTS + name, "components": {"schemas": schemas}})
            for name in ("EmbedBody", "EmbeddingsBody", "SimilarityBody", "TokenizeBody")
        }

    def agrees(self, name: str, asked: object, take: Callable[[bytes, Asker], object]) -> None:
        """Assert that `take` takes what the schema calls valid, and refuses the rest."""
        refusal = None
        try:
            taken = take(json.dumps(asked).encode(), self.asker)
            if question := getattr(taken, "question", None):
                self._tokenizer.encode(question.inputs, question.prompt, "END")
        except CallerError as error:
            refusal = error
        valid = self._validators[name].is_valid(asked)
        assert valid is (refusal is None), f"{asked!r}: {refusal or 'taken'}"


@pytest.fixture(scope="module", params=[True, False], ids=["prompts", "no prompts"])
def judge(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Judge:
    folder = tmp_path_factory.mktemp("models")
    prompts = {"query": "query: ", "code": "the "} if request.param else {}
    tiny.write_model(folder, changes={"prompts": prompts, "source_normalizes": request.param})
    return Judge(load(open_artifact(folder, tiny.NAME, "fp32"), **LIMITS))


def body(*keys: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Bodies of some of these fields, some of these options, and at times one that no route knows."""
    options = {key: OPTIONS[key] for key in keys} | {"surprise": JUNK}
    # Most bodies carry few options: with many, hardly any would be valid.
    few = st.lists(st.sampled_from(sorted(options)), max_size=2, unique=True)
    chosen = few.flatmap(lambda names: st.fixed_dictionaries({name: options[name] for name in names}))
    return st.builds(lambda one, other: one | other, st.fixed_dictionaries({}, optional=fields), chosen)


@settings(max_examples=700, deadline=None)
@given(
    asked=body(*OPTIONS, text=ANY_TEXTS | JUNK, texts=ANY_TEXTS, inputs=ANY_INPUT)
    | body(*OPTIONS, inputs=ANY_INPUT)
    | JUNK
)
def test_embed(judge: Judge, asked: Any) -> None:
    judge.agrees("EmbedBody", asked, embed.parse)


@settings(max_examples=500, deadline=None)
@given(
    asked=body(
        *(key for key in OPTIONS if key not in ("truncation_direction", "normalize")),
        input=ANY_INPUT,
        model=st.sampled_from([tiny.NAME, f"tests/{tiny.NAME}", "bge-large-en-v1.5", "gpt"]) | JUNK,
        encoding_format=st.sampled_from(["float", "base64", "int8"]) | JUNK,
        user=st.text(max_size=2) | JUNK,
    )
)
def test_embeddings(judge: Judge, asked: Any) -> None:
    judge.agrees("EmbeddingsBody", asked, openai.parse)


@settings(max_examples=500, deadline=None)
@given(
    asked=st.fixed_dictionaries(
        {"inputs": body(source_sentence=SOME_TEXT, sentences=ANY_TEXTS)},
        optional={"parameters": body("truncate", "truncation_direction", "prompt_name") | JUNK},
    )
)
def test_similarity(judge: Judge, asked: Any) -> None:
    judge.agrees("SimilarityBody", asked, similarity.parse)


@settings(max_examples=500, deadline=None)
@given(asked=body("prompt_name", inputs=ANY_TEXTS | JUNK, add_special_tokens=st.booleans() | JUNK))
def test_tokenize(judge: Judge, asked: Any) -> None:
    judge.agrees("TokenizeBody", asked, tokens.parse)
