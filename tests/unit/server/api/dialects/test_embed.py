from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.api.dialects import embed
from server.errors import CallerError, InvalidError, MalformedError, TooLargeError
from server.inference.engine import Vectors
from server.model import manifest
from server.model.artifact import Artifact
from server.model.manifest import Manifest
from server.model.tokenization import Truncation
from server.service.embed_request import Asker, EmbedRequest
from server.settings import Settings, resolve
from tests.unit.server.fakes import result

VECTORS: Vectors = np.array([[0.6, 0.8, 0.0], [0.0, 0.6, 0.8]], np.float32)


@pytest.fixture
def card(artifact: Artifact) -> Manifest:
    return artifact.manifest


def ask(card: Manifest, settings: Settings | None = None, /, **body: Any) -> EmbedRequest:
    return embed.parse(orjson.dumps(body), Asker(settings or resolve({}), card)).question


def with_prompts(card: Manifest, **prompts: str) -> Manifest:
    return msgspec.structs.replace(card, prompts=prompts)


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"text": "a"}, {"embedding": [0.6, 0.8, 0.0]}),
        ({"text": ["a", "b"]}, {"embeddings": [[0.6, 0.8, 0.0], [0.0, 0.6, 0.8]]}),
        ({"texts": ["a", "b"]}, {"embeddings": [[0.6, 0.8, 0.0], [0.0, 0.6, 0.8]]}),
        ({"inputs": "a"}, [[0.6, 0.8, 0.0]]),
        ({"inputs": ["a", "b"]}, [[0.6, 0.8, 0.0], [0.0, 0.6, 0.8]]),
    ],
)
def test_the_answers_shape_follows_the_questions_key(card: Manifest, body: dict[str, Any], answer: object) -> None:
    asked = embed.parse(orjson.dumps(body), Asker(resolve({}), card))
    assert orjson.loads(embed.render(asked, result(VECTORS[: len(asked.question.inputs)]))) == answer


def test_token_ids_may_be_one_text_s_or_many(card: Manifest) -> None:
    assert ask(card, inputs=[1, 2, 3]).inputs == [[1, 2, 3]]
    assert ask(card, inputs=[[1, 2, 3], [4]]).inputs == [[1, 2, 3], [4]]


def test_the_default_prompt_goes_where_no_other_is_asked_for(card: Manifest) -> None:
    described = msgspec.structs.replace(with_prompts(card, query="q: ", short="s: "), default_prompt_name="short")
    assert ask(described, text="a").prompt == "s: "
    assert ask(described, text="a", input_type="query").prompt == "q: "
    assert ask(described, text="a", input_type="document").prompt == ""
    assert ask(described, text="a", prompt_name="query").prompt == "q: "


def test_null_means_left_out(card: Manifest) -> None:
    options = dict.fromkeys(
        ["input_type", "prompt_name", "truncate", "truncation_direction", "normalize", "dimensions"]
    )
    assert ask(card, text="a", **options) == ask(card, text="a")


@pytest.mark.parametrize(
    ("payload", "kind", "said"),
    [
        (b"", MalformedError, "the body is empty"),
        (b'{"text": "a', MalformedError, "truncated"),
        (b'{"text": "a"} x', MalformedError, "byte 15"),
        (b'{"text": NaN}', MalformedError, "byte"),
        (b'{"text": "\xff"}', MalformedError, "UTF-8"),
        (b'\xef\xbb\xbf{"text": "a"}', MalformedError, "byte order mark"),
        (b'{"text": "\\ud800"}', InvalidError, "lone surrogate escape at byte 10"),
        (b'{"text": "\\ud83d\\ude00\\udc00"}', InvalidError, "lone surrogate escape at byte 22"),
        (b'{"text": "\\ud800 b", "texts": []}', InvalidError, "lone surrogate escape at byte 10"),
        (b"null", InvalidError, "expected `object`, got `null`"),
        (b"[]", InvalidError, "got `array`"),
        (b'{"text": ' + b"[" * 100_000, InvalidError, r"\$\.text\[0\]"),
        (b"{}", InvalidError, "exactly one of text, texts, inputs; got none"),
        (b'{"text": "a", "inputs": "b"}', InvalidError, "got text and inputs"),
        (b'{"text": 1}', InvalidError, r"`\$\.text`"),
        (b'{"text": null}', InvalidError, r"`\$\.text`"),
        (b'{"texts": ["a", null]}', InvalidError, r"`\$\.texts\[1\]`"),
        (b'{"inputs": [[1, 2.5]]}', InvalidError, r"`\$\.inputs\[0\]\[1\]`"),
        (b'{"inputs": {"source_sentence": "a", "sentences": ["b"]}}', InvalidError, "post it to /similarity"),
        (b'{"inputs": ["a", 1]}', InvalidError, "inputs mixes texts and token ids"),
        (b'{"inputs": [[1, 2], "a"]}', InvalidError, "inputs mixes texts and token ids"),
        (b'{"text": ["a", " "]}', InvalidError, "index 1 holds nothing to embed"),
        (b'{"text": [[1, 2]]}', InvalidError, r"`\$\.text\[0\]`"),
        (b'{"text": "a", "input_type": ""}', InvalidError, "input_type must be"),
        (b'{"texts": []}', InvalidError, "texts is an empty list"),
        (b'{"text": "a", "sparse": true}', InvalidError, "unknown field `sparse`"),
        (b'{"text": "a", "dimensions": 0}', InvalidError, "from 1 to 8"),
        (b'{"text": "a", "dimensions": 9}', InvalidError, "from 1 to 8"),
        (b'{"text": "a", "dimensions": 99999999999999999999999}', InvalidError, "from 1 to 8"),
        (b'{"text": "a", "dimensions": true}', InvalidError, r"\$\.dimensions"),
        (b'{"text": "a", "dimensions": 1e999}', InvalidError, r"\$\.dimensions"),
        (b'{"text": "a", "input_type": "image"}', InvalidError, "one of query, search_query"),
        (b'{"text": "a", "prompt_name": "answer"}', InvalidError, "it has: query"),
        (b'{"text": "a", "input_type": "document", "prompt_name": "query"}', InvalidError, "different prompts"),
        (b'{"text": "a", "truncate": "MIDDLE"}', InvalidError, "truncate must be"),
        (b'{"text": "a", "truncate": 1}', InvalidError, r"\$\.truncate"),
        (b'{"text": "a", "truncation_direction": "up"}', InvalidError, "one of Right, right, Left, left"),
        (b'{"text": "a", "truncate": "END", "truncation_direction": "Left"}', InvalidError, "contradict"),
    ],
)
def test_what_cannot_be_served_is_refused_with_a_reason(
    card: Manifest, defaults: Settings, payload: bytes, kind: type[CallerError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        embed.parse(payload, Asker(defaults, card))


@given(payload=st.binary(max_size=60) | st.text(max_size=30).map(lambda text: orjson.dumps({"text": text})))
def test_any_bytes_parse_or_are_the_callers_fault(payload: bytes) -> None:
    card = Manifest(
        schema=manifest.SCHEMA,
        name="m",
        source=manifest.ModelSource(kind="hub", id="m", revision="1", licence="MIT", files={}),
        architecture="",
        dimension=8,
        max_tokens=16,
        pooling="cls",
        source_normalizes=True,
        prompts={},
        tokenizer=manifest.File(file="t", bytes=1, sha256="0" * 64),
        variants={},
        fidelity_texts=manifest.FidelityTexts(count=1, sha256="0" * 64),
        calibration_texts=manifest.FidelityTexts(count=1, sha256="0" * 64),
        notes=[],
        tools={},
    )
    try:
        embed.parse(payload, Asker(resolve({}), card))
    except CallerError:
        return


def test_limits_name_the_index_and_the_limit(card: Manifest, defaults: Settings) -> None:
    small = replace(defaults, max_client_batch_size=2, max_text_chars=5)
    with pytest.raises(TooLargeError, match="3 texts, the limit is 2"):
        ask(card, small, texts=["a"] * 3)
    with pytest.raises(InvalidError, match="index 1 has 6 characters, the limit is 5"):
        ask(card, small, texts=["a", "漢" * 6])


@pytest.mark.parametrize(
    ("options", "auto", "expected"),
    [
        ({}, "true", "END"),
        ({}, "false", "NONE"),
        ({"truncate": True}, "false", "END"),
        ({"truncate": False}, "true", "NONE"),
        ({"truncate": "START"}, "true", "START"),
        ({"truncate": "NONE", "truncation_direction": "Left"}, "true", "NONE"),
        ({"truncation_direction": "Left"}, "true", "START"),
        ({"truncation_direction": "Left"}, "false", "NONE"),
        ({"truncate": True, "truncation_direction": "Right"}, "false", "END"),
    ],
)
def test_truncation(card: Manifest, options: dict[str, Any], auto: str, expected: Truncation) -> None:
    assert ask(card, resolve({"AUTO_TRUNCATE": auto}), text="a", **options).truncate == expected


@pytest.mark.parametrize(
    ("prompts", "options", "expected"),
    [
        ({"query": "q: "}, {}, ""),
        ({"query": "q: "}, {"input_type": "query"}, "q: "),
        ({"query": "q: "}, {"input_type": "search_query"}, "q: "),
        ({"query": "q: "}, {"prompt_name": "query"}, "q: "),
        ({"query": "q: "}, {"prompt_name": "query", "input_type": "query"}, "q: "),
        ({"query": "q: "}, {"input_type": "document"}, ""),
        ({}, {"input_type": "query"}, ""),
        ({"passage": "p: "}, {"input_type": "document"}, "p: "),
        ({"document": "d: ", "passage": "p: "}, {"input_type": "search_document"}, "d: "),
    ],
)
def test_prompts(card: Manifest, prompts: dict[str, str], options: dict[str, Any], expected: str) -> None:
    assert ask(with_prompts(card, **prompts), text="a", **options).prompt == expected


def test_raw_vectors_are_refused_where_the_source_does_not_normalize(card: Manifest) -> None:
    assert ask(card, text="a", normalize=False).normalize is False
    unnormalized = msgspec.structs.replace(card, source_normalizes=False)
    with pytest.raises(InvalidError, match="normalize: false is not available"):
        ask(unnormalized, text="a", normalize=False)
    assert ask(unnormalized, text="a", normalize=True).normalize
