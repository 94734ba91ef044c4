import itertools
import math
from dataclasses import dataclass

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from server.batching.stream_plan import StreamTrial, best_trial, next_streams, pool_threads

BOUND_S = 0.25
TOKENS = 512


@dataclass(frozen=True)
class Simulated:
    """A machine on which a text of TOKENS takes `work_s` on one thread.

    Of that, `serial` cannot be shared out (Amdahl); each doubling of the threads of a stream adds `sync` of waiting for
    the slowest; memory moves at most `most` times the tokens/s of one thread.
    """

    cores: int
    work_s: float
    serial: float
    sync: float
    most: float

    def trial(self, streams: int) -> StreamTrial:
        threads = self.cores / streams
        longest_s = self.work_s * (self.serial + (1 - self.serial) / threads + self.sync * math.log2(max(1.0, threads)))
        longest_s = max(longest_s, self.work_s * streams / self.most)
        return StreamTrial(streams, longest_s, streams * TOKENS / longest_s)


def chosen(machine: Simulated) -> tuple[StreamTrial, list[StreamTrial]]:
    trials: list[StreamTrial] = []
    while (streams := next_streams(trials, machine.cores, BOUND_S)) is not None:
        trials.append(machine.trial(streams))
    return best_trial(trials, BOUND_S), trials


MACHINES = st.builds(
    Simulated,
    cores=st.integers(2, 128),
    work_s=st.floats(0.005, 20.0),
    serial=st.floats(0.0, 0.2),
    sync=st.floats(0.0, 0.01),
    most=st.floats(4.0, 200.0),
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.filter_too_much])
@given(MACHINES)
def test_the_choice_is_within_a_twentieth_of_the_best_plan(machine: Simulated) -> None:
    plans = [machine.trial(streams) for streams in range(1, machine.cores + 1)]
    # What the search takes for granted: a text takes longer with fewer threads, and beside more streams.
    assume(all(fewer.longest_s <= more.longest_s for fewer, more in itertools.pairwise(plans)))
    allowed = [plan for plan in plans if plan.longest_s <= BOUND_S] or plans[:1]
    trial, trials = chosen(machine)
    assert trial.tokens_per_s >= 0.95 * max(plan.tokens_per_s for plan in allowed)
    assert trial.longest_s <= BOUND_S or trial.streams == 1
    assert len(trials) <= 13
    assert len({one.streams for one in trials}) == len(trials)


def test_a_large_model_on_few_threads_is_measured_once() -> None:
    trial, trials = chosen(Simulated(cores=2, work_s=1.0, serial=0.05, sync=0.01, most=100))
    assert (trial.streams, len(trials)) == (1, 1)


def test_a_small_model_gets_a_stream_for_each_thread() -> None:
    for cores in (2, 3, 8, 48):
        assert chosen(Simulated(cores, work_s=0.02, serial=0.05, sync=0.01, most=1000))[0].streams == cores


def test_equal_speeds_prefer_more_streams() -> None:
    trials = [StreamTrial(1, 0.01, 100.0), StreamTrial(2, 0.02, 98.0)]
    assert best_trial(trials, BOUND_S).streams == 2
    assert best_trial([trials[0], StreamTrial(2, 0.3, 150.0)], BOUND_S).streams == 1


def test_streams_that_are_slower_end_the_search() -> None:
    trials = [StreamTrial(1, 0.01, 100.0), StreamTrial(2, 0.02, 80.0)]
    assert next_streams(trials, 64, BOUND_S) is None
    assert best_trial(trials, BOUND_S).streams == 1


def test_callers_and_the_pool_together_are_all_threads() -> None:
    for threads in (1, 2, 16):
        for streams in range(1, threads + 1):
            workers = pool_threads(threads, streams) - 1
            assert workers + streams == threads
