from dataclasses import dataclass, field

import pytest

from server.connection.connection_limit import MOMENT_S, RESERVE, ConnectionLimit, Use


@dataclass(eq=False)
class Caller:
    """A connection that records its eviction."""

    name: str
    gone: list[str] = field(default_factory=list)

    def make_way(self) -> None:
        self.gone.append(self.name)


class House:
    """A limit of three connections, and those evicted."""

    def __init__(self, limit: int = 3) -> None:
        self.gone: list[str] = []
        self.closed: list[Use] = []
        self.room = ConnectionLimit(limit, self.closed.append)

    def enter(self, name: str, use: Use, now: float) -> Caller:
        caller = Caller(name, self.gone)
        assert self.room.enter(caller, now)
        assert self.room.settle(caller, now)
        self.room.note(caller, use, now)
        return caller

    def newcomer(self, now: float, name: str = "new") -> bool:
        caller = Caller(name, self.gone)
        return self.room.enter(caller, now) and self.room.settle(caller, now)


def test_the_one_that_is_idle_longest_goes_first() -> None:
    house = House()
    first = house.enter("first", Use.IDLE, 1)
    for name, now in (("second", 2), ("third", 3)):
        house.enter(name, Use.IDLE, now)
    house.room.note(first, Use.BUSY, 4)
    house.room.note(first, Use.IDLE, 5)
    assert all(house.newcomer(6 + count) for count in range(3))
    assert house.gone == ["second", "third", "first"]
    assert house.closed == [Use.IDLE] * 3


@pytest.mark.parametrize("late", [Use.CLOSING, Use.IDLE, Use.SILENT, Use.HEAD])
def test_what_is_of_least_use_goes_first_and_what_is_busy_never(late: Use) -> None:
    uses = [use for use in Use if use is not Use.BUSY]
    house = House(len(uses) + 1)
    house.enter("busy", Use.BUSY, 0)
    for use in sorted(uses, key=lambda use: use is late):  # `late` is entered last.
        house.enter(use.value, use, 0)
    assert all(house.newcomer(2 * MOMENT_S) for _ in uses)
    assert house.gone == ["closing", "idle", "silent", "head"]
    assert not house.newcomer(2 * MOMENT_S)


@pytest.mark.parametrize("use", [Use.CLOSING, Use.SILENT, Use.HEAD])
def test_who_has_just_come_has_a_moment(use: Use) -> None:
    house = House(1)
    house.enter("young", use, 0)
    assert not house.newcomer(MOMENT_S / 2)
    assert house.newcomer(MOMENT_S)


def test_the_reserve_makes_way_for_its_own_and_touches_no_other() -> None:
    house = House(1)
    house.enter("regular", Use.IDLE, 0)
    for number in range(RESERVE + 5):
        assert house.room.enter(Caller(str(number), house.gone), 0)
    assert house.gone == [str(number) for number in range(5)]


def test_a_reserve_full_of_probes_takes_no_more() -> None:
    house = House(1)
    house.enter("regular", Use.BUSY, 0)
    probes = [Caller(str(number), house.gone) for number in range(RESERVE)]
    for probe in probes:
        assert house.room.enter(probe, 0)
        house.room.note(probe, Use.BUSY, 0)
    assert not house.room.enter(Caller("new", house.gone), 100)
    house.room.leave(probes[0])
    assert house.room.enter(Caller("new", house.gone), 100)


def test_a_place_that_is_left_is_free() -> None:
    house = House(1)
    busy = house.enter("busy", Use.BUSY, 0)
    assert not house.newcomer(1)
    house.room.leave(busy)
    house.room.leave(busy)
    assert house.newcomer(1)
    house.room.note(busy, Use.IDLE, 1)  # It no longer has a slot.
    assert not house.newcomer(1.5)
