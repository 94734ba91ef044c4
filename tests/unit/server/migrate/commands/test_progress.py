import io

import pytest

from server.migrate.commands.progress import EVERY_S, Progress, duration


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_a_terminal_a_line_now_and_then() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(1000, 100, stream, clock)
    for _ in range(5):
        clock.now += EVERY_S / 2
        progress.advance(50, 500)
    progress.close()
    lines = stream.getvalue().splitlines()
    assert lines == [
        "200 of 1,000 texts, 10 texts/s, 100 tokens/s, 1 min 20 s left",
        "300 of 1,000 texts, 10 texts/s, 100 tokens/s, 1 min 10 s left",
    ]


def test_without_a_total_no_time_left() -> None:
    clock = Clock()
    progress = Progress(None, 0, io.StringIO(), clock)
    clock.now = 10
    progress.advance(20, 40)
    assert progress.line() == "20 texts, 2 texts/s, 4 tokens/s"


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0 s"), (61, "1 min 01 s"), (7260, "2 h 01 min")])
def test_times_are_written_as_people_do(seconds: float, said: str) -> None:
    assert duration(seconds) == said
