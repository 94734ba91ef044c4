import pytest

from server.connection.write_backlog import SHARE, SLOW_WINDOWS, WINDOW_S, WriteBacklog
from server.system.memory import LARGE_SHARE, REQUESTS, Memory

LIMIT_S = 12.0


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
        self.memory = memory
        self.unread = WriteBacklog(memory, LIMIT_S)
        self.callers: list[Caller] = []
        self.now = 100.0

    def add(self, *callers: Caller) -> None:
        """Add callers in one window."""
        for caller in callers:
            self.callers.append(caller)
            self.unread.add(caller, self.now)

    def pass_windows(self, count: int = 1 + SLOW_WINDOWS) -> None:
        """Let windows pass; by default as many as it takes to be found slow."""
        for _ in range(count):
            self.now += WINDOW_S
            for caller in self.callers:
                caller.unread_bytes = max(0, caller.unread_bytes - caller.read_bytes)
            self.unread.enforce(self.now)


def room_for(size: int) -> Backlog:
    return Backlog(Memory(int(size / SHARE)))


def dropped(*callers: Caller) -> list[bool]:
    return [caller.dropped for caller in callers]


def test_those_that_have_waited_longest_are_dropped_for_the_newest() -> None:
    callers = [Caller(size) for size in (40, 40, 20)]
    backlog = room_for(100)
    backlog.add(*callers)
    backlog.pass_windows()
    assert dropped(*callers) == [False] * 3
    backlog.add(Caller(50))
    assert dropped(*callers) == [True, True, False]


def test_answers_that_nobody_reads_are_dropped_although_none_is_added_any_more() -> None:
    backlog, callers = room_for(100), [Caller(80), Caller(80)]
    backlog.add(*callers)
    assert dropped(*callers) == [False, False]
    backlog.pass_windows()
    assert dropped(*callers) == [True, False]
    assert backlog.memory.total == 80


def test_an_answer_larger_than_the_limit_is_sent_while_it_is_the_newest() -> None:
    backlog, large = room_for(100), Caller(350)
    backlog.add(Caller(10), large)
    backlog.pass_windows()
    assert not large.dropped
    backlog.add(Caller(1))
    assert large.dropped


@pytest.mark.parametrize(("read_bytes", "cut_off"), [(0, True), (80, True), (110, False), (500, False)])
def test_a_caller_that_will_have_read_its_answer_in_time_is_not_cut_off(read_bytes: int, cut_off: bool) -> None:
    backlog, reading = room_for(1000), Caller(1000, read_bytes)
    backlog.add(reading)
    backlog.pass_windows()
    backlog.add(Caller(500))
    assert reading.dropped == cut_off


def test_a_steady_reader_whose_kernel_takes_large_pieces_is_not_cut_off() -> None:
    backlog, steady = room_for(1000), Caller(900)
    backlog.add(steady, Caller(500, 500))
    for _ in range(3):
        backlog.pass_windows(SLOW_WINDOWS - 1)
        steady.unread_bytes -= 300
        backlog.pass_windows(1)
    assert not steady.dropped


def test_reading_ever_more_slowly_does_not_put_off_the_end() -> None:
    backlog, slowing = room_for(1000), Caller(900)
    backlog.add(slowing, Caller(500, 500))
    for _ in range(round(LIMIT_S)):
        slowing.unread_bytes -= slowing.unread_bytes // 9
        backlog.pass_windows(1)
    assert slowing.dropped


def test_time_in_which_nothing_could_be_read_is_discounted() -> None:
    backlog, reading = room_for(100), Caller(90, 20)
    backlog.add(reading, Caller(50, 20))
    backlog.pass_windows(1)
    backlog.now += 2 * LIMIT_S  # the process was stopped
    for caller in backlog.callers:
        backlog.unread.extend(caller, 2 * LIMIT_S)
    backlog.unread.enforce(backlog.now)
    backlog.pass_windows(SLOW_WINDOWS)
    assert not reading.dropped


def test_what_the_kernel_takes_at_once_is_not_reading() -> None:
    backlog, silent = room_for(100), Caller(100)
    backlog.add(silent, Caller(50))
    silent.unread_bytes = 20
    backlog.pass_windows()
    assert silent.dropped


def test_a_caller_that_read_fast_and_stopped_is_dropped() -> None:
    backlog, stopped = room_for(200), Caller(400, 60)
    backlog.add(stopped, Caller(20, 1))
    backlog.pass_windows()
    assert not stopped.dropped
    stopped.read_bytes = 0
    backlog.pass_windows(SLOW_WINDOWS)
    assert stopped.dropped


def test_where_large_requests_have_no_room_the_oldest_go_whatever_their_pace() -> None:
    backlog, callers = Backlog(Memory(1000)), [Caller(300, 100) for _ in range(3)]
    backlog.add(*callers)
    assert dropped(*callers) == [True, False, False]
    backlog.memory.claim(REQUESTS).keep(round(1000 * LARGE_SHARE) - 500)
    backlog.unread.enforce(backlog.now)
    assert dropped(*callers) == [True, True, False]


def test_the_share_is_theirs_whatever_else_takes_memory() -> None:
    backlog, callers = room_for(100), [Caller(40, 10), Caller(40, 10)]
    backlog.memory.claim(REQUESTS).keep(backlog.memory.limit)
    backlog.add(*callers)
    backlog.pass_windows()
    assert dropped(*callers) == [False, False]


def test_what_has_been_taken_makes_room() -> None:
    backlog, done, other = room_for(100), Caller(60), Caller(40)
    backlog.add(done, other)
    backlog.unread.discard(done)
    backlog.pass_windows()
    backlog.add(Caller(60))
    assert dropped(done, other) == [False] * 2


def test_memory_is_held_for_as_long_as_answers_wait() -> None:
    memory = Memory(1000)
    unread = WriteBacklog(memory, LIMIT_S)
    callers = [Caller(size) for size in (100, 200, 30)]
    for caller in callers:
        unread.add(caller, 0.0)
    unread.add(callers[0], 0.0)
    assert memory.total == 330
    for caller in callers:
        unread.discard(caller)
        unread.discard(caller)
    assert memory.total == 0
