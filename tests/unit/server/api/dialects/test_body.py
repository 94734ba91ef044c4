import gc

import msgspec
import pytest

from server.api.dialects import body
from server.api.dialects.embed import EmbedBody
from server.errors import InvalidError, MalformedError, TooLargeError

MOST = 1024


class Body(msgspec.Struct, forbid_unknown_fields=True):
    number: int | None = None
    ids: list[list[int]] = []
    name: str = ""


@pytest.mark.parametrize("payload", [b'{"number": 64}', b'{"number": 64.0}', b'{"number": 6.4e1}'])
def test_whole_numbers_may_be_written_with_a_point(payload: bytes) -> None:
    assert body.decode(payload, Body, "", MOST).number == 64


@pytest.mark.parametrize(
    ("payload", "param"),
    [
        (b'{"number": 64.5}', "number"),
        (b'{"number": 1e999}', "number"),
        (b'{"number": 1.0, "ids": [[1], [2.5]]}', "ids"),
        (b'{"name": 1.0}', "name"),
        (b'{"colour": 1}', "colour"),
    ],
)
def test_the_field_at_fault_is_named(payload: bytes, param: str) -> None:
    with pytest.raises(InvalidError) as refused:
        body.decode(payload, Body, "", MOST)
    assert refused.value.param == param


def test_a_field_s_name_is_not_echoed_at_any_length() -> None:
    with pytest.raises(InvalidError) as refused:
        body.decode(b'{"%b": 1}' % (b"x" * 100_000), Body, "", MOST)
    assert len(str(refused.value)) < 400


def test_not_any_number_of_whole_numbers_may_be_written_with_a_point() -> None:
    few, many = (b'{"ids": [[%b]]}' % b",".join([b"1.0"] * count) for count in (body.MOST_POINTS, body.MOST_POINTS + 1))
    assert len(body.decode(few, Body, "", MOST).ids[0]) == body.MOST_POINTS
    with pytest.raises(InvalidError, match="written with a point"):
        body.decode(many, Body, "", MOST)


def test_the_place_of_a_lone_surrogate_is_told_where_it_is_found_soon() -> None:
    short, long = (b'{"name": "%b\\ud800 b"}' % (b"\\ud83d\\ude00" * count) for count in (1, body.LONGEST_SEARCHED))
    with pytest.raises(InvalidError, match="at byte 22"):
        body.decode(short, Body, "", MOST)
    with pytest.raises(MalformedError):
        body.decode(long, Body, "", MOST)
    assert gc.isenabled()


def many(value: bytes, head: bytes = b'{"inputs": [') -> bytes:
    return head + value + (b"," + value) * (3_000_000 // (len(value) + 1)) + b"]}"


@pytest.mark.parametrize("value", [b"[]", b'""', b'"a"', b"[[]]", b"[1]", b'"\\""'])
def test_what_would_take_far_more_memory_than_its_bytes_is_refused_unread(
    value: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "_decode", None)
    for head in (b'{"inputs": [', b'{"inputs": [1.0,', b'{"no field": [', b"[["):
        with pytest.raises(TooLargeError, match="more than 1024 texts, the limit is 1024; send them in parts"):
            body.decode(many(value, head), EmbedBody, "", MOST)


def test_objects_are_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "_decode", None)
    with pytest.raises(InvalidError, match="more than 64 objects"):
        body.decode(many(b"{}", b'{"inputs": [1.0,'), EmbedBody, "", MOST)


@pytest.mark.parametrize("text", [b",", b"[", b"{", b'\\"', b"\\\\", b",[{", b'\\",\\"'])
def test_texts_may_hold_whatever_json_is_made_of(text: bytes) -> None:
    texts = b",".join([b'"%b"' % (text * 40_000)] * 40)
    decoded = body.decode(b'{"texts": [%b]}' % texts, EmbedBody, "", MOST)
    assert isinstance(decoded.texts, list)
    assert len(decoded.texts) == 40


def test_token_ids_may_be_many() -> None:
    decoded = body.decode(many(b"999", b'{"inputs": [101,'), EmbedBody, "", MOST)
    assert isinstance(decoded.inputs, list)
    assert len(decoded.inputs) > 700_000


@pytest.mark.parametrize("broken", [b'"' * 1_000_001, b'"\\' * 500_000, b'["' + b"\\" * 1_000_000, b"[" * 1_000_000])
def test_a_long_body_that_is_no_json_is_looked_at_once(broken: bytes) -> None:
    with pytest.raises((MalformedError, InvalidError, TooLargeError)):
        body.decode(broken, EmbedBody, "", MOST)
