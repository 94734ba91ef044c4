import gc

import msgspec
import pytest

from server.errors import InvalidError, MalformedError
from server.wire import body

MOST = 1024


class Body(msgspec.Struct, forbid_unknown_fields=True):
    number: int | None = None
    ids: list[list[int]] = []
    name: str = ""


@pytest.mark.parametrize("raw", [b'{"number": 64}', b'{"number": 64.0}', b'{"number": 6.4e1}'])
def test_whole_numbers_may_be_written_with_a_point(raw: bytes) -> None:
    assert body.decode(raw, Body, "", MOST).number == 64


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (b'{"number": 64.5}', "number"),
        (b'{"number": 1e999}', "number"),
        (b'{"number": 1.0, "ids": [[1], [2.5]]}', "ids"),
        (b'{"name": 1.0}', "name"),
        (b'{"colour": 1}', "colour"),
    ],
)
def test_the_field_at_fault_is_named(raw: bytes, param: str) -> None:
    with pytest.raises(InvalidError) as refused:
        body.decode(raw, Body, "", MOST)
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
