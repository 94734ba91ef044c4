import msgspec
import pytest

from server.errors import InvalidError
from server.wire import body


class Body(msgspec.Struct, forbid_unknown_fields=True):
    number: int | None = None
    ids: list[list[int]] = []
    name: str = ""


@pytest.mark.parametrize("raw", [b'{"number": 64}', b'{"number": 64.0}', b'{"number": 6.4e1}'])
def test_whole_numbers_may_be_written_with_a_point(raw: bytes) -> None:
    assert body.decode(raw, Body, "").number == 64


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
        body.decode(raw, Body, "")
    assert refused.value.param == param


def test_a_field_s_name_is_not_echoed_at_any_length() -> None:
    with pytest.raises(InvalidError) as refused:
        body.decode(b'{"%b": 1}' % (b"x" * 100_000), Body, "")
    assert len(str(refused.value)) < 400
