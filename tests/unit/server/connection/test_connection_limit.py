from dataclasses import dataclass, field

import pytest

from server.connection.connection_limit import RESERVE, SHORT_GRACE_S, ConnectionLimit, Use


@dataclass(eq=False)
class Caller:
    """A connection that records its eviction."""

    name: str
    gone: list[str] = field(default_factory=list)

    def evict(self) -> None:
        self.gone.append(self.name)


class FilledLimit:
    """A limit of three connections, and those evicted."""

    def __init__(self, limit: int = 3) -> None:
        self.gone: list[str] = []
        self.closed: list[Use] = []
        self.limit = ConnectionLimit(limit, self.closed.append)

    def enter(self, name: str, use: Use, now: float) -> Caller:
        caller = Caller(name, self.gone)
        assert self.limit.enter(caller, now)
        assert self.limit.settle(caller, now)
        self.limit.note(caller, use, now)
        return caller

    def newcomer(self, now: float, name: str = "new") -> bool:
        caller = Caller(name, self.gone)
        return self.limit.enter(caller, now) and self.limit.settle(caller, now)


def test_the_one_that_is_idle_longest_goes_first() -> None:
    filled = FilledLimit()
    first = filled.enter("first", Use.IDLE, 1)
    for name, now in (("second", 2), ("third", 3)):
        filled.enter(name, Use.IDLE, now)
    filled.limit.note(first, Use.BUSY, 4)
    filled.limit.note(first, Use.IDLE, 5)
    assert all(filled.newcomer(6 + count) for count in range(3))
    assert filled.gone == ["second", "third", "first"]
    assert filled.closed == [Use.IDLE] * 3


@pytest.mark.parametrize("late", [Use.CLOSING, Use.IDLE, Use.SILENT, Use.HEAD])
def test_what_is_of_least_use_goes_first_and_what_is_busy_never(late: Use) -> None:
    uses = [use for use in Use if use is not Use.BUSY]
    filled = FilledLimit(len(uses) + 1)
    filled.enter("busy", Use.BUSY, 0)
    for use in sorted(uses, key=lambda use: use is late):  # `late` is entered last.
        filled.enter(use.value, use, 0)
    assert all(filled.newcomer(2 * SHORT_GRACE_S) for _ in uses)
    assert filled.gone == ["closing", "idle", "silent", "head"]
    assert not filled.newcomer(2 * SHORT_GRACE_S)


@pytest.mark.parametrize("use", [Use.CLOSING, Use.SILENT, Use.HEAD])
def test_who_has_just_come_has_a_moment(use: Use) -> None:
    filled = FilledLimit(1)
    filled.enter("young", use, 0)
    assert not filled.newcomer(SHORT_GRACE_S / 2)
    assert filled.newcomer(SHORT_GRACE_S)


def test_the_reserve_makes_way_for_its_own_and_touches_no_other() -> None:
    filled = FilledLimit(1)
    filled.enter("regular", Use.IDLE, 0)
    for number in range(RESERVE + 5):
        assert filled.limit.enter(Caller(str(number), filled.gone), 0)
    assert filled.gone == [str(number) for number in range(5)]


def test_a_reserve_full_of_probes_takes_no_more() -> None:
    filled = FilledLimit(1)
    filled.enter("regular", Use.BUSY, 0)
    probes = [Caller(str(number), filled.gone) for number in range(RESERVE)]
    for probe in probes:
        assert filled.limit.enter(probe, 0)
        filled.limit.note(probe, Use.BUSY, 0)
    assert not filled.limit.enter(Caller("new", filled.gone), 100)
    filled.limit.leave(probes[0])
    assert filled.limit.enter(Caller("new", filled.gone), 100)


def test_a_place_that_is_left_is_free() -> None:
    filled = FilledLimit(1)
    busy = filled.enter("busy", Use.BUSY, 0)
    assert not filled.newcomer(1)
    filled.limit.leave(busy)
    filled.limit.leave(busy)
    assert filled.newcomer(1)
    filled.limit.note(busy, Use.IDLE, 1)  # It no longer has a slot.
    assert not filled.newcomer(1.5)
