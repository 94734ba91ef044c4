from typing import Any

import pytest

from bench import worker
from bench.worker import ContenderSession
from tests.unit.bench.conftest import FAKE


class Clock:
    """Simulates runs of preset durations."""

    def __init__(self, seconds: list[float]) -> None:
        self.left = seconds

    def __call__(self, *_: object) -> float:
        return self.left.pop(0)


def session(
    monkeypatch: pytest.MonkeyPatch, task: dict[str, Any], seconds: list[float]
) -> tuple[ContenderSession, Clock]:
    clock = Clock(seconds)
    monkeypatch.setattr(worker, "_timed", clock)
    made = ContenderSession(FAKE)
    made.load(task)
    return made, clock


def test_the_first_short_run_of_a_turn_is_not_counted(monkeypatch: pytest.MonkeyPatch, task: dict[str, Any]) -> None:
    made, clock = session(monkeypatch, task, [0.5, 0.1, 0.1, 0.1, 9.9])
    assert made.run([[1]], seconds=0.25, most=20) == {"seconds": [0.1, 0.1, 0.1]}
    assert clock.left == [9.9]


def test_a_long_run_is_counted_at_once(monkeypatch: pytest.MonkeyPatch, task: dict[str, Any]) -> None:
    made, clock = session(monkeypatch, task, [18.0, 9.9])
    assert made.run([[1]], seconds=0.25, most=20) == {"seconds": [18.0]}
    assert clock.left == [9.9]


def test_a_turn_has_an_end(monkeypatch: pytest.MonkeyPatch, task: dict[str, Any]) -> None:
    made, clock = session(monkeypatch, task, [0.001] * 10)
    assert len(made.run([[1]], seconds=100.0, most=4)["seconds"]) == 4
    assert len(clock.left) == 5
