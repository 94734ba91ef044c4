from dataclasses import dataclass
from itertools import accumulate, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.batching.deadlines import Timetable


@dataclass(frozen=True, eq=False)
class Request:
    work_s: float
    due_by: float
    begun: bool = False

    @property
    def rank(self) -> float:
        return self.due_by


REQUESTS = st.lists(
    st.builds(Request, st.integers(1, 9).map(float), st.integers(0, 30).map(float), st.booleans()), max_size=8
)


def in_time(requests: list[Request], stretch: float = 1.0) -> bool:
    """Return whether all requests are finished in time, earliest deadline first."""
    ranked = sorted(requests, key=lambda request: request.due_by)
    ends = accumulate(stretch * request.work_s for request in ranked)
    return all(end <= request.due_by for end, request in zip(ends, ranked, strict=True))


@given(REQUESTS)
def test_every_request_has_one_place_and_those_in_time_are(requests: list[Request]) -> None:
    table = Timetable(requests, 0.0, 1.0)
    placed = table.in_time + table.late
    assert len(placed) == len(requests)
    assert set(placed) == set(requests)
    assert in_time(table.in_time)


@given(REQUESTS)
def test_no_other_choice_finishes_more_of_them_in_time(requests: list[Request]) -> None:
    most = max(
        count
        for count in range(len(requests) + 1)
        if any(in_time(list(chosen)) for chosen in combinations(requests, count))
    )
    assert len(Timetable(requests, 0.0, 1.0).in_time) == most


@given(REQUESTS, st.builds(Request, st.integers(1, 9).map(float), st.integers(0, 30).map(float)))
def test_one_more_fits_exactly_where_all_that_were_in_time_stay_so(requests: list[Request], more: Request) -> None:
    table = Timetable(requests, 0.0, 1.0)
    late_s = table.lateness_s(more.work_s, more.due_by, more.rank)
    assert (late_s <= 0) == in_time([*table.in_time, more])


@given(REQUESTS, st.builds(Request, st.integers(1, 9).map(float), st.integers(0, 30).map(float)))
def test_what_is_added_comes_behind_all_that_is_in_time_and_leaves_less_for_others(
    requests: list[Request], more: Request
) -> None:
    table = Timetable(requests, 0.0, 1.0)
    before = table.lateness_s(3.0, 20.0, 20.0)
    table.add(more)
    assert list(table) == [*table.in_time, more, *table.late]
    assert table.lateness_s(3.0, 20.0, 20.0) == before + more.work_s


@given(REQUESTS)
def test_without_pressure_any_order_is_in_time(requests: list[Request]) -> None:
    table = Timetable(requests, 0.0, 1.0)
    if table.pressure <= 1:
        assert sum(request.work_s for request in requests) <= min((one.due_by for one in requests), default=99)
        assert not table.late


def test_what_has_been_begun_comes_before_what_has_not() -> None:
    new, begun = Request(5.0, 1.0), Request(5.0, 2.0, begun=True)
    assert Timetable([new, begun], 0.0, 1.0).late == [begun, new]
    assert Timetable([Request(5.0, 6.0), kept := Request(5.0, 6.0, begun=True)], 0.0, 1.0).in_time == [kept]


@pytest.mark.parametrize(("start", "stretch", "fits"), [(0.0, 1.0, True), (3.0, 1.0, False), (0.0, 2.0, False)])
def test_start_and_speed_decide(start: float, stretch: float, fits: bool) -> None:
    assert (Timetable([Request(4.0, 6.0)], start, stretch).late == []) == fits
