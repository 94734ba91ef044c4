from server.connection.slow_reader import LEAST_TAKEN_BYTES, SlowReader

MUCH = 10 * LEAST_TAKEN_BYTES


def test_an_answer_of_which_too_little_is_taken_stalls() -> None:
    taking = SlowReader(0)
    assert not taking.stalled(MUCH, 5, 10)
    assert not taking.stalled(MUCH - LEAST_TAKEN_BYTES + 1, 14.9, 10)
    assert taking.stalled(MUCH - LEAST_TAKEN_BYTES + 1, 15, 10)


def test_an_answer_that_is_taken_or_is_all_taken_does_not() -> None:
    taking = SlowReader(0)
    for now in range(0, 90, 9):
        assert not taking.stalled(MUCH - now // 9 * LEAST_TAKEN_BYTES, now, 10)
    assert not taking.stalled(0, 1000, 10)


def test_another_answer_begins_anew() -> None:
    taking = SlowReader(0)
    assert not taking.stalled(10, 0, 10)
    assert not taking.stalled(MUCH, 9, 10)
    assert not taking.stalled(MUCH, 18, 10)


def test_time_in_which_the_process_did_not_run_does_not_count() -> None:
    taking = SlowReader(0)
    assert not taking.stalled(MUCH, 0, 10)
    taking.extend(30)
    assert not taking.stalled(MUCH, 30, 10)
    assert taking.stalled(MUCH, 40, 10)
