"""Conversion of values to ids and metadata."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from server.migrate.sources.values import carried, id_text

WHEN = datetime(2024, 5, 1, 10, tzinfo=UTC)
NAMED = UUID("00000000-0000-4000-8000-000000000001")


@pytest.mark.parametrize(
    ("id_", "text"),
    [
        (" x", " x"),
        (7, "7"),
        (-7, "-7"),
        (1 << 70, str(1 << 70)),
        (1.0, "1"),
        (float(1 << 53), str(1 << 53)),
        (Decimal("18446744073709551615"), "18446744073709551615"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1.50"), "1.50"),
        (NAMED, str(NAMED)),
        (date(2024, 5, 1), "2024-05-01"),
        (WHEN, "2024-05-01T10:00:00+00:00"),
        (time(10, 30), "10:30:00"),
    ],
)
def test_ids_become_text_that_no_two_share(id_: object, text: str) -> None:
    assert id_text(id_) == text


@pytest.mark.parametrize(
    ("id_", "said"),
    [
        (None, "missing"),
        ("", "empty"),
        (True, r"a bool \(True\)"),
        (1.5, r"a float \(1.5\)"),
        (float("nan"), r"a float \(nan\)"),
        (float("inf"), r"a float \(inf\)"),
        (float(1 << 54), r"a floating-point number beyond 2\^53"),
        (Decimal("NaN"), r"a Decimal \(NaN\)"),
        (b"x", "a bytes"),
        ([1], "a list"),
        ({"$oid": "x"}, r"an object \(\$oid\), in which --id-field NAME.FIELD names a field"),
    ],
)
def test_what_is_no_id_is_told_by_its_type(id_: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        id_text(id_)


def test_what_json_has_no_type_for_is_carried_as_text() -> None:
    value = {
        "when": WHEN,
        "cost": Decimal("1.50"),
        "raw": b"\xff\x00",
        "key": NAMED,
        "took": timedelta(seconds=90),
        "nested": [{"day": date(2024, 5, 1), 7: float("nan")}, (1, None)],
    }
    assert carried(value) == {
        "when": "2024-05-01T10:00:00+00:00",
        "cost": "1.50",
        "raw": "/wA=",
        "key": str(NAMED),
        "took": "0:01:30",
        "nested": [{"day": "2024-05-01", "7": None}, [1, None]],
    }


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1 << 64, "more than 64 bits"),
        ([float("-inf")], "not a finite number"),
        ({"x": {1, 2}}, "of the type set"),
        (object(), "of the type object"),
    ],
)
def test_what_cannot_be_carried_is_told(value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        carried(value)


def test_what_is_nested_too_deeply_is_told() -> None:
    value: object = 1
    for _ in range(5000):
        value = [value]
    with pytest.raises(ValueError, match="nested deeper than"):
        carried(value)
