from hypothesis import given
from hypothesis import strategies as st

from server.migrate.pipeline.window import Bounds, windows
from server.migrate.record import Record

TEXTS = st.lists(st.one_of(st.none(), st.text(max_size=12)), max_size=40)
BOUNDS = st.builds(Bounds, records=st.integers(1, 8), characters=st.integers(1, 30))


def records(texts: list[str | None]) -> list[Record]:
    return [Record(ordinal, str(ordinal), text) for ordinal, text in enumerate(texts)]


@given(TEXTS, BOUNDS)
def test_windows_hold_every_record_once_in_order_within_the_bounds(texts: list[str | None], bounds: Bounds) -> None:
    made = list(windows(records(texts), bounds))
    assert [record for window in made for record in window] == records(texts)
    for window in made:
        before = window[:-1]
        assert 0 < len(window) <= bounds.records
        assert sum(len(record.text) for record in before if isinstance(record.text, str)) < bounds.characters


@given(TEXTS, BOUNDS, st.data())
def test_whoever_begins_at_a_window_gets_the_same_windows(
    texts: list[str | None], bounds: Bounds, data: st.DataObject
) -> None:
    made = list(windows(records(texts), bounds))
    done = data.draw(st.integers(0, len(made)))
    start = sum(map(len, made[:done]))
    assert list(windows(records(texts)[start:], bounds)) == made[done:]
