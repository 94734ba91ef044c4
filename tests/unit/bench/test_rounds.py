from typing import Any

from bench.process import WorkerError
from bench.rounds import Contestants, RoundPace, measure, turns
from bench.workloads import Workload

WORKLOAD = Workload("1x2", "1 text of 2 tokens", ((5, 6),))


class Runner:
    """Returns preset seconds and records the order of requests."""

    def __init__(self, name: str, diary: list[str], seconds: float = 1.0, fails_at: int = -1) -> None:
        self.name, self.diary, self.seconds, self.fails_at = name, diary, seconds, fails_at
        self.asked = 0
        self.requests: list[dict[str, Any]] = []

    def ask(self, op: str, timeout_s: float, **fields: object) -> dict[str, Any]:
        assert timeout_s > 0
        self.requests.append({"op": op, **fields})
        self.diary.append(self.name)
        self.asked += 1
        if self.asked - 1 == self.fails_at:
            raise WorkerError(f"{self.name}: was killed")
        return {"seconds": [self.seconds]}

    def settle(self) -> None:
        self.diary.append("settle")


def test_everyone_has_a_turn_in_each_round_in_one_order() -> None:
    assert list(turns(["a", "b", "c"], 2)) == [(0, "a"), (0, "b"), (0, "c"), (1, "a"), (1, "b"), (1, "c")]


def test_turns_are_interleaved_and_each_waits_until_the_one_before_is_quiet() -> None:
    diary: list[str] = []
    contestants = Contestants({name: Runner(name, diary) for name in "ab"})
    measured = measure(contestants, WORKLOAD, RoundPace(2, 100))
    assert diary == ["a", "settle", "b", "settle", "a", "settle", "b", "settle"]
    assert measured == {"a": [[1.0], [1.0]], "b": [[1.0], [1.0]]}


def test_everyone_gets_the_same_tokens() -> None:
    runners = {name: Runner(name, []) for name in "ab"}
    measure(Contestants(runners), WORKLOAD, RoundPace(1, 100))
    assert runners["a"].requests == runners["b"].requests
    assert runners["a"].requests[0]["sequences"] == [[5, 6]]


def test_one_that_fails_is_dropped_with_its_reason_and_the_others_go_on() -> None:
    diary: list[str] = []
    contestants = Contestants({"a": Runner("a", diary), "b": Runner("b", diary, fails_at=1), "c": Runner("c", diary)})
    measured = measure(contestants, WORKLOAD, RoundPace(3, 100))
    assert {name: len(done) for name, done in measured.items()} == {"a": 3, "c": 3}
    assert contestants.dropped == {"b": "b: was killed"}
    assert contestants.names() == ["a", "c"]
    assert diary.count("b") == 2


def test_one_dropped_before_has_no_turn() -> None:
    diary: list[str] = []
    contestants = Contestants({"a": Runner("a", diary), "b": Runner("b", diary)}, {"a": "never loaded"})
    assert list(measure(contestants, WORKLOAD, RoundPace(1, 100))) == ["b"]


def test_a_slow_one_gets_fewer_turns_but_at_least_one() -> None:
    diary: list[str] = []
    contestants = Contestants({"slow": Runner("slow", diary, 60), "quick": Runner("quick", diary, 1)})
    measured = measure(contestants, WORKLOAD, RoundPace(4, 3))
    assert {name: len(done) for name, done in measured.items()} == {"slow": 1, "quick": 3}


def test_progress_names_round_and_contender() -> None:
    shown: list[str] = []
    measure(Contestants({"a": Runner("a", [])}), WORKLOAD, RoundPace(2, 100), shown.append)
    assert shown == ["1x2: round 1 of 2, a", "1x2: round 2 of 2, a"]
