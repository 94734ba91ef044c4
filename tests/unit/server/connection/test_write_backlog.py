from server.connection.write_backlog import SHARE, WriteBacklog
from server.system.memory import Memory


class Caller:
    def __init__(self, held_bytes: int) -> None:
        self.held_bytes = held_bytes
        self.dropped = False

    def drop(self) -> None:
        self.dropped = True


def room_for(size: int) -> WriteBacklog:
    return WriteBacklog(Memory(int(size / SHARE)))


def add(unread: WriteBacklog, *sizes: int) -> list[Caller]:
    callers = [Caller(size) for size in sizes]
    for caller in callers:
        unread.add(caller)
    return callers


def test_those_that_have_waited_longest_are_dropped_for_the_newest() -> None:
    callers = add(room_for(100), 40, 40, 20, 50)
    assert [caller.dropped for caller in callers] == [True, True, False, False]


def test_an_answer_larger_than_the_limit_is_sent_while_it_is_the_newest() -> None:
    unread = room_for(100)
    small, large = add(unread, 10, 1000)
    assert (small.dropped, large.dropped) == (True, False)
    add(unread, 1)
    assert large.dropped


def test_what_has_been_taken_makes_room() -> None:
    unread = room_for(100)
    done, halfway = add(unread, 60, 40)
    unread.discard(done)
    halfway.held_bytes = 10
    [newest] = add(unread, 90)
    assert [caller.dropped for caller in (done, halfway, newest)] == [False] * 3


def test_memory_is_held_for_as_long_as_answers_wait() -> None:
    memory = Memory(1000)
    unread = WriteBacklog(memory)
    for caller in add(unread, 100, 200, 30):
        unread.discard(caller)
        unread.discard(caller)
    assert memory.total == 0
    add(unread, 100, 200)
    assert memory.total == 200
