import pytest

from server.connection.write_backlog import SHARE, WINDOW_S, WriteBacklog
from server.system.memory import REQUESTS, Memory

LIMIT_S = 10.0


class Caller:
    def __init__(self, held_bytes: int, read_bytes: int = 0) -> None:
        """`read_bytes` are read in each window."""
        self.held_bytes = held_bytes
        self.read_bytes = read_bytes
        self.unread_bytes = held_bytes
        self.dropped = False

    def drop(self) -> None:
        self.dropped = True


class Backlog:
    """A backlog whose callers read from one window to the next."""

    def __init__(self, memory: Memory) -> None:
        self.unread = WriteBacklog(memory, LIMIT_S)
        self.callers: list[Caller] = []
        self.now = 0.0

    def add(self, *callers: Caller) -> None:
        """Add callers, a window after those before."""
        for caller in callers:
            self.pass_windows(1)
            self.callers.append(caller)
            self.unread.add(caller, self.now)

    def pass_windows(self, count: int) -> None:
        """Let windows pass, with an answer in each that is read at once."""
        for _ in range(count):
            self.now += WINDOW_S
            for caller in self.callers:
                caller.unread_bytes = max(0, caller.unread_bytes - caller.read_bytes)
            at_once = Caller(0)
            self.unread.add(at_once, self.now)
            self.unread.discard(at_once)


def room_for(size: int) -> Backlog:
    return Backlog(Memory(int(size / SHARE)))


def dropped(*callers: Caller) -> list[bool]:
    return [caller.dropped for caller in callers]


def test_those_that_have_waited_longest_are_dropped_for_the_newest() -> None:
    callers = [Caller(size) for size in (40, 40, 20)]
    backlog = room_for(100)
    backlog.add(*callers)
    backlog.pass_windows(2)
    assert dropped(*callers) == [False] * 3
    backlog.add(Caller(50))
    assert dropped(*callers) == [True, True, False]


def test_an_answer_larger_than_the_limit_is_sent_while_it_is_the_newest() -> None:
    backlog, large = room_for(100), Caller(350)
    backlog.add(Caller(10), large)
    assert not large.dropped
    backlog.pass_windows(2)
    assert large.dropped


@pytest.mark.parametrize(("read_bytes", "cut_off"), [(0, True), (9, True), (10, False), (80, False)])
def test_a_caller_that_will_have_read_the_rest_in_time_is_not_cut_off(read_bytes: int, cut_off: bool) -> None:
    backlog, reading = room_for(500), Caller(100 + 3 * read_bytes, read_bytes)
    backlog.add(reading)
    backlog.pass_windows(2)
    assert not reading.dropped
    backlog.add(Caller(500))
    assert reading.dropped == cut_off


def test_what_the_kernel_takes_at_once_is_not_reading() -> None:
    backlog, silent = room_for(100), Caller(100)
    backlog.add(silent)
    silent.unread_bytes = 20
    backlog.add(Caller(50), Caller(50))
    assert silent.dropped


def test_a_caller_that_read_fast_and_stopped_is_dropped() -> None:
    backlog, stopped = room_for(100), Caller(200, 60)
    backlog.add(stopped)
    backlog.pass_windows(2)
    assert not stopped.dropped
    stopped.read_bytes = 0
    backlog.pass_windows(1)
    assert stopped.dropped


def test_a_pace_is_not_judged_by_less_than_a_window() -> None:
    backlog, reading = room_for(100), Caller(100)
    backlog.add(reading)
    backlog.pass_windows(1)
    backlog.unread.add(Caller(50), backlog.now + 0.9 * WINDOW_S)
    assert not reading.dropped


def test_beyond_the_whole_memory_the_oldest_go_whatever_their_pace() -> None:
    memory = Memory(1000)
    backlog, callers = Backlog(memory), [Caller(300, 100) for _ in range(4)]
    backlog.add(*callers)
    assert dropped(*callers) == [True, False, False, False]
    assert memory.total == 900
    memory.claim(REQUESTS).keep(100)
    backlog.add(Caller(1))
    assert dropped(*callers) == [True, True, False, False]


def test_what_has_been_taken_makes_room() -> None:
    backlog, done, halfway = room_for(100), Caller(60), Caller(40)
    backlog.add(done, halfway)
    backlog.unread.discard(done)
    halfway.held_bytes = 10
    backlog.pass_windows(2)
    backlog.add(Caller(90))
    assert dropped(done, halfway) == [False] * 2


def test_memory_is_held_for_as_long_as_answers_wait() -> None:
    memory = Memory(1000)
    unread = WriteBacklog(memory, LIMIT_S)
    callers = [Caller(size) for size in (100, 200, 30)]
    for caller in callers:
        unread.add(caller, 0.0)
    assert memory.total == 330
    for caller in callers:
        unread.discard(caller)
        unread.discard(caller)
    assert memory.total == 0
