"""Bad input gets a clear error that names the item and the limit, and the server keeps serving."""

import json
from collections.abc import Iterator

import pytest

from tests.serving import Served

JSON = {"content-type": "application/json"}


def body(value: object) -> bytes:
    return json.dumps(value).encode()


CASES = [
    ("empty body", b"", 400, "empty"),
    ("malformed", b'{"text": "a"', 400, "malformed"),
    ("trailing characters", b'{"text": "a"} x', 400, "malformed"),
    ("NaN literal", b'{"text": NaN}', 400, "malformed"),
    ("byte order mark", b'\xef\xbb\xbf{"text": "a"}', 400, "byte order mark"),
    ("invalid UTF-8", b'{"text": "\xff"}', 400, "UTF-8"),
    ("nested too deep", b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 422, "$.text"),
    ("null", b"null", 422, "object"),
    ("a number", b"12", 422, "object"),
    ("a list", b'["a"]', 422, "object"),
    ("no text", b"{}", 422, "exactly one of text, texts, inputs"),
    ("two of them", body({"text": "a", "inputs": "a"}), 422, "text and inputs"),
    ("number for text", body({"text": 7}), 422, "$.text"),
    ("null in the list", body({"texts": ["a", None]}), 422, "$.texts[1]"),
    ("string for texts", body({"texts": "a"}), 422, "$.texts"),
    ("huge number", b'{"text": 1e999}', 422, "$.text"),
    ("empty list", body({"texts": []}), 422, "empty list"),
    ("empty text", body({"texts": ["a", ""]}), 422, "index 1"),
    ("blank text", body({"texts": [" \t\n"]}), 422, "index 0"),
    ("NUL only", body({"text": "\0"}), 422, "index 0"),
    ("zero width only", body({"text": "\u200d\u200b"}), 422, "index 0"),
    ("lone surrogate", b'{"texts": ["a", "\\ud800"]}', 422, "surrogate"),
    ("lone surrogate inside", b'{"text": "a \\udfff b"}', 422, "surrogate"),
    ("too many texts", body({"texts": ["a"] * 10_000}), 413, "10000 texts, the limit is 1024"),
    ("too many characters", body({"text": "x" * 200_000}), 422, "200000 characters, the limit is 131072"),
    ("10 MB text", body({"text": "x" * 10_000_000}), 413, "MAX_BODY_BYTES"),
    ("unknown field", body({"text": "a", "colour": "red"}), 422, "colour"),
    ("dimensions 0", body({"text": "a", "dimensions": 0}), 422, "384"),
    ("dimensions too many", body({"text": "a", "dimensions": 385}), 422, "384"),
    ("dimensions overflow", b'{"text": "a", "dimensions": 99999999999999999999999}', 422, "dimensions"),
    ("truncate junk", body({"text": "a", "truncate": "MIDDLE"}), 422, "truncate must be"),
    ("input type junk", body({"text": "a", "input_type": "essay"}), 422, "input_type must be"),
    ("millions of points", b'{"inputs": [' + b"1.0," * 1_900_000 + b"1]}", 422, "written with a point"),
    (
        "lists of ids",
        b'{"inputs": [' + b"[101,5,102]," * 600_000 + b"[1]]}",
        413,
        "more than 1024 texts, the limit is 1024",
    ),
    ("lone after pairs", b'{"text": "' + b"\\ud83d\\ude00" * 600_000 + b'\\ud83d"}', 400, "malformed"),
    ("invisible for long", b'{"texts": ["%b"]}' % ("\U000f0000" * 130_000).encode(), 422, "index 0"),
    ("prompt name unknown", body({"text": "a", "prompt_name": "query"}), 422, "prompt_name is not one of"),
]


@pytest.fixture(scope="module", autouse=True)
def still_serves(int8: Served) -> Iterator[None]:
    """Check after all tests that the same process still returns the same vector."""
    before = int8.embed(["the same text"])
    yield
    assert int8.process.poll() is None
    assert int8.embed(["the same text"]) == before
    assert not [line for line in int8.lines if "Traceback" in line]


@pytest.mark.parametrize(("body", "status", "message"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_is_answered_with_a_clear_error(int8: Served, body: bytes, status: int, message: str) -> None:
    answer = int8.client.post("/embed", content=body, headers=JSON)
    assert answer.status_code == status, answer.text
    error = answer.json()
    assert message in error["error"]
    assert set(error) == {"error", "error_type"}


FAMILY = "👩\u200d👩\u200d👧" * 50
HARMLESS = ["a\0b", "\u202eright to left", FAMILY, "a" + "\u0301" * 5000, "x" * 50_000, "[CLS] [SEP] [PAD] <s>"]


@pytest.mark.parametrize("text", HARMLESS, ids=["NUL", "RTL", "ZWJ", "combining", "one long word", "special tokens"])
def test_strange_but_legal_text_gets_a_vector(int8: Served, text: str) -> None:
    assert len(int8.embed([text])[0]) == 384


def test_of_a_key_given_twice_the_last_counts(int8: Served) -> None:
    twice = int8.client.post("/embed", content=b'{"texts": ["a"], "texts": ["b"]}')
    assert twice.json() == {"embeddings": int8.embed(["b"])}


def test_wrong_method_and_path(int8: Served) -> None:
    wrong = int8.client.get("/embed")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert int8.client.post("/info").status_code == 405
    missing = int8.client.post("/../etc/passwd", json={})
    assert missing.status_code == 404
    assert "error" in missing.json()


def test_content_type_and_encoding(int8: Served) -> None:
    form = int8.client.post("/embed", content=body({"text": "a"}), headers={"content-type": "text/plain"})
    assert form.status_code == 415
    assert "application/json" in form.json()["error"]
    packed = int8.client.post("/embed", content=b"\x1f\x8b", headers=JSON | {"content-encoding": "gzip"})
    assert packed.status_code == 415
