"""Bad bodies on the other dialects' routes get a clear error in the dialect's shape, and the server keeps serving."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.serving import MINILM, Served

JSON = {"content-type": "application/json"}
ROUTES = ("/v1/embeddings", "/similarity", "/tokenize", "/")


def good(route: str, text: Any = "a", **fields: Any) -> dict[str, Any]:
    """Return a valid body of `route` with `text`."""
    if route == "/v1/embeddings":
        return {"model": MINILM, "input": text} | fields
    if route == "/similarity":
        return {"inputs": {"source_sentence": "a", "sentences": text if isinstance(text, list) else [text]}} | fields
    return {"inputs": text} | fields


def message(route: str, answer: Any) -> str:
    """Check the shape of an error and return its message."""
    if not route.startswith("/v1/"):
        assert set(answer) == {"error", "error_type"}
        return str(answer["error"])
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert answer["error"]["type"] == "invalid_request_error"
    return str(answer["error"]["message"])


@pytest.fixture(scope="module", autouse=True)
def still_serves(int8: Served) -> Iterator[None]:
    """Check after all tests that the same process still returns the same vector."""
    before = int8.embed(["the same text"])
    yield
    assert int8.process.poll() is None
    assert int8.embed(["the same text"]) == before
    assert not [line for line in int8.lines if "Traceback" in line]


ANYWHERE = [
    ("empty body", b"", 400, "empty"),
    ("malformed", b'{"', 400, "malformed"),
    ("NaN literal", b"NaN", 400, "malformed"),
    ("byte order mark", b"\xef\xbb\xbf{}", 400, "byte order mark"),
    ("invalid UTF-8", b'{"\xff": 1}', 400, "UTF-8"),
    ("null", b"null", 422, "object"),
    ("a number", b"12", 422, "object"),
    ("a list", b'["a"]', 422, "object"),
    ("nothing", b"{}", 422, "missing required field"),
    ("deep nesting", b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 422, "inputs"),
    ("unknown field of 1 MB", b'{"%b": 1}' % (b"x" * 1_000_000), 422, "unknown field"),
    ("10 MB", b'{"input": "%b"}' % (b"x" * 10_000_000), 413, "MAX_BODY_BYTES"),
]


@pytest.mark.parametrize("route", ROUTES[:-1])
@pytest.mark.parametrize(
    ("body", "status", "said"), [case[1:] for case in ANYWHERE], ids=[case[0] for case in ANYWHERE]
)
def test_bodies_of_no_shape(int8: Served, route: str, body: bytes, status: int, said: str) -> None:
    answer = int8.client.post(route, content=body, headers=JSON)
    assert answer.status_code == status, answer.text
    assert said in message(route, answer.json())
    assert len(answer.content) < 1000


TEXTS = [
    ("number", 7, 422, "expected"),
    ("null in the list", ["a", None], 422, "expected"),
    ("object", {"a": 1}, 422, "expected"),
    ("empty list", [], 422, "empty list"),
    ("too many", ["a"] * 10_000, 413, "the limit is 1024"),
    ("millions", [""] * 1_000_000, 413, "the limit is 1024"),
    ("too long", ["x" * 200_000], 422, "200000 characters, the limit is 131072"),
]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(("text", "status", "said"), [case[1:] for case in TEXTS], ids=[case[0] for case in TEXTS])
def test_texts_of_no_use(int8: Served, route: str, text: Any, status: int, said: str) -> None:
    answer = int8.client.post(route, json=good(route, text))
    assert answer.status_code == status, answer.text
    assert said in message(route, answer.json())


@pytest.mark.parametrize("route", ["/v1/embeddings", "/similarity", "/"])
@pytest.mark.parametrize("text", ["", " \t\n", "\0", "\u200d\u200b", "\u0301"])
def test_texts_without_content(int8: Served, route: str, text: str) -> None:
    answer = int8.client.post(route, json=good(route, ["a", text]))
    assert answer.status_code == 422
    assert "holds nothing to embed" in message(route, answer.json())


@pytest.mark.parametrize("route", ROUTES)
def test_lone_surrogates(int8: Served, route: str) -> None:
    body = json.dumps(good(route, ["a", "TEXT"])).replace("TEXT", "\\ud800")
    answer = int8.client.post(route, content=body, headers=JSON)
    assert answer.status_code == 422
    assert "surrogate" in message(route, answer.json())


@pytest.mark.parametrize(
    ("route", "fields", "status", "said"),
    [
        ("/v1/embeddings", {"model": "gpt"}, 404, MINILM),
        ("/v1/embeddings", {"model": 7}, 422, "$.model"),
        ("/v1/embeddings", {"dimensions": 0}, 422, "from 1 to 384"),
        ("/v1/embeddings", {"dimensions": 2**70}, 422, "from 1 to 384"),
        ("/v1/embeddings", {"dimensions": 1.5}, 422, "$.dimensions"),
        ("/v1/embeddings", {"encoding_format": "int4"}, 422, "float, base64"),
        ("/v1/embeddings", {"input": [101, 2**70, 102]}, 422, "from 0 to 30521"),
        ("/v1/embeddings", {"input": [[101, -1, 102]]}, 422, "from 0 to 30521"),
        ("/v1/embeddings", {"input": [[]]}, 422, "begin with [101]"),
        ("/v1/embeddings", {"input": [[101, 102]]}, 422, "holds nothing"),
        ("/v1/embeddings", {"input": [101] * 200_000}, 422, "200000 token ids"),
        ("/v1/embeddings", {"input": ["a", [101, 7592, 102]]}, 422, "mixes"),
        ("/v1/embeddings", {"text": "a"}, 422, "unknown field `text`"),
        ("/similarity", {"parameters": {"truncate": "END", "truncation_direction": "Left"}}, 422, "contradict"),
        ("/similarity", {"parameters": {"prompt_name": "query"}}, 422, "prompt_name is not one of"),
        ("/similarity", {"parameters": []}, 422, "$.parameters"),
        ("/similarity", {"inputs": {"source_sentence": " ", "sentences": ["a"]}}, 422, "index 0"),
        ("/similarity", {"inputs": {"source_sentence": "a"}}, 422, "sentences"),
        ("/tokenize", {"add_special_tokens": "yes"}, 422, "$.add_special_tokens"),
        ("/tokenize", {"inputs": [101, 102]}, 422, "$.inputs[0]"),
        ("/tokenize", {"inputs": ["a " * 65_000] * 9}, 413, "MAX_REQUEST_TOKENS"),
        ("/", {"inputs": [101, 7592, 102], "normalize": "no"}, 422, "$.normalize"),
    ],
)
def test_values_of_no_use(int8: Served, route: str, fields: dict[str, Any], status: int, said: str) -> None:
    answer = int8.client.post(route, json=good(route) | fields)
    assert answer.status_code == status, answer.text
    assert said in message(route, answer.json())


def test_too_many_tokens_are_refused_where_none_may_be_cut(int8: Served) -> None:
    for route, refusal in (
        ("/v1/embeddings", {"truncate": "NONE"}),
        ("/similarity", {"parameters": {"truncate": False}}),
        ("/", {"truncate": "NONE"}),
    ):
        answer = int8.client.post(route, json=good(route, ["a", "word " * 300], **refusal))
        assert answer.status_code == 422
        assert "302 tokens, the limit is 256" in message(route, answer.json())


@pytest.mark.parametrize(
    "route", ["/v1/embeddings", "/v1/models", "/similarity", "/tokenize", "/metrics", "/docs", "/"]
)
def test_wrong_methods(int8: Served, route: str) -> None:
    answer = int8.client.delete(route)
    assert answer.status_code == 405
    assert answer.headers["allow"]
    assert route in message(route, answer.json())


@pytest.mark.parametrize("path", ["/v1", "/v1/embedding", "/v1/embeddings/x", "/v1/models/../../etc/passwd"])
def test_wrong_paths(int8: Served, path: str) -> None:
    assert int8.client.get(path).status_code == 404
