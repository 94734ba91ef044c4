import math

import pytest

from server.connection.request_progress import BODY, HEAD, REQUEST, RequestProgress

RECEIVE_S, KEEP_ALIVE_S = 10.0, 75.0


@pytest.fixture
def progress() -> RequestProgress:
    return RequestProgress(RECEIVE_S, KEEP_ALIVE_S, 100.0)


def receive(progress: RequestProgress, now: float, size: int = 50) -> None:
    """Receive a complete request in one chunk."""
    progress.take(size)
    progress.begin_head(now)
    progress.end_head()
    progress.end_body()
    progress.count()


def test_the_first_head_s_clock_runs_since_the_connection_was_accepted(progress: RequestProgress) -> None:
    progress.begin_head(104.0)
    assert (progress.awaiting, progress.due) == (HEAD, 110.0)
    progress.begin_head(105.0)  # The same head, parsed again.
    assert progress.due == 110.0


def test_a_later_head_has_its_own_time_from_its_first_byte_on(progress: RequestProgress) -> None:
    receive(progress, 101.0)
    progress.answer(102.0)
    assert (progress.awaiting, progress.due) == (REQUEST, 177.0)
    progress.begin_head(150.0)
    assert (progress.awaiting, progress.due) == (HEAD, 160.0)


def test_nothing_is_due_while_an_answer_is_computed(progress: RequestProgress) -> None:
    progress.begin_head(101.0)
    progress.end_head()
    assert (progress.awaiting, progress.due) == (BODY, math.inf)


def test_a_body_that_is_not_whole_when_its_answer_is_has_the_receive_timeout(progress: RequestProgress) -> None:
    progress.begin_head(101.0)
    progress.end_head()
    progress.answer(103.0)
    assert progress.due == 113.0


def test_an_answer_gives_the_head_behind_it_no_more_time(progress: RequestProgress) -> None:
    receive(progress, 101.0)
    progress.begin_head(102.0)
    progress.answer(108.0)
    assert progress.due == 112.0


def test_of_the_chunk_that_a_request_begins_in_nothing_is_counted(progress: RequestProgress) -> None:
    progress.take(400)
    progress.begin_head(101.0)
    assert progress.arriving == 400
    progress.count()
    assert (progress.received, progress.seen) == (0, 400)
    progress.take(30)
    assert progress.arriving == 30
    progress.count()
    assert (progress.received, progress.seen) == (30, 430)


def test_each_request_is_counted_anew(progress: RequestProgress) -> None:
    progress.take(400)
    progress.begin_head(101.0)
    progress.count()
    progress.take(70)
    progress.end_head()
    progress.end_body()
    progress.begin_head(101.0)
    progress.count()
    assert (progress.received, progress.seen) == (0, 70)


def test_what_comes_after_the_last_answer_is_counted_from_it_on_for_so_long(progress: RequestProgress) -> None:
    progress.begin_head(101.0)
    progress.end_head()
    progress.count()
    progress.take(500)
    progress.count()
    progress.linger(1.0, 103.0)
    assert (progress.received, progress.due) == (0, 104.0)
    progress.take(20)
    progress.count()
    assert progress.received == 20


def test_a_caller_is_not_late_for_what_was_not_its_fault(progress: RequestProgress) -> None:
    progress.extend(3.0)
    assert progress.due == 113.0
    progress.restart_timeout(112.0)
    assert progress.due == 122.0
    progress.await_nothing()
    assert progress.due == math.inf


def test_whatever_becomes_due_is_found_in_time(progress: RequestProgress) -> None:
    assert progress.next_check(100.0) == 105.0
    assert progress.next_check(107.0) == 110.0
    receive(progress, 107.0)
    assert progress.next_check(107.0) == 112.0
    progress.begin_head(107.0)  # Due at 117, two checks later.
    assert progress.next_check(112.0) == 117.0
