from bench.load.figures import Outcome
from bench.load.verdict import all_answered, flat_memory
from tests.unit.bench.load.made import figures, latency

MB = 1_000_000


def test_memory_may_move_but_not_climb() -> None:
    assert flat_memory([100 * MB, 130 * MB, 99 * MB, 101 * MB, 101 * MB, 101 * MB]).met
    climbing = flat_memory([100 * MB + second * MB for second in range(30)])
    assert not climbing.met
    assert climbing.found.startswith("+")


def test_a_large_process_may_not_gain_much_though_its_share_is_small() -> None:
    assert not flat_memory([6000 * MB, 6030 * MB, 6060 * MB]).met


def test_memory_that_nobody_saw_is_not_flat() -> None:
    assert not flat_memory([]).met


def test_one_request_without_a_good_answer_is_too_many() -> None:
    assert all_answered([figures(), figures()]).met
    refused = figures(refused={"429": Outcome(1, 1, latency(0.001))})
    for bad in (refused, figures(planned=1001, unsent=1), figures(planned=1001, broken=1)):
        verdict = all_answered([figures(), bad])
        assert not verdict.met
        assert verdict.found == "1 of 2,001 not"
