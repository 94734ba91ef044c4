"""Finds how many streams a CPU should run (STREAMS=auto): opens the graph with several numbers of them, in turn."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from server.batching.calibration import measure, plan_pace
from server.batching.cost_model import CostModel, Load
from server.batching.stream_plan import StreamTrial, best_trial, next_streams
from server.inference.engine import Engine, Ids
from server.settings import Settings
from server.system.machine import held_memory, trim_heap

E = TypeVar("E", bound=Engine)

# Another number of streams is measured only if that is expected to end this long after the first measurement.
SEARCH_S = 5.0


@dataclass(frozen=True, slots=True)
class MeasuredEngine(Generic[E]):
    """An engine, and its cost model while `streams` batches run side by side."""

    engine: E
    cost: CostModel
    streams: int


class StreamSearch(Generic[E]):
    """Measures numbers of streams until the best is known; `trials` has what was measured, in order."""

    def __init__(
        self,
        open_engine: Callable[[int], E],
        text: Ids,
        settings: Settings,
        threads: int,
        memory: int,
        *,
        packed: bool,
    ) -> None:
        """Prepare a search for `threads` threads; `open_engine` opens the graph for a number of streams.

        The process may hold `memory` bytes while all streams compute their largest batches.
        """
        self.trials: list[StreamTrial] = []
        self.most = threads
        self._open, self._text, self._settings, self._packed = open_engine, text, settings, packed
        self._memory = memory

    def run(self) -> MeasuredEngine[E]:
        """Return the engine with the best number of streams within LONGEST_TEXT_S and the memory."""
        bound = self._settings.longest_text_s
        measured, ended = self.open(1), time.monotonic()
        end, took = ended + SEARCH_S, 0.0
        while (streams := next_streams(self.trials, self.most, bound)) is not None and ended + took <= end:
            del measured  # so that only one engine is in memory
            trim_heap()
            measured = self.open(streams)
            took, ended = time.monotonic() - ended, time.monotonic()
        best = best_trial([trial for trial in self.trials if trial.streams <= self.most], bound).streams
        if measured.streams != best:
            del measured
            trim_heap()
            measured = self.open(best)
        return measured

    def open(self, streams: int) -> MeasuredEngine[E]:
        """Open the graph for `streams` streams and time it while all of them are busy.

        Lowers `most` to the number of streams whose largest batches fit into the memory.
        """
        engine = self._open(streams)
        opened = held_memory().resident
        cost = measure(engine, self._text, packed=self._packed, streams=streams)
        pace = plan_pace(cost, self._settings, engine.max_tokens, streams)
        self.trials.append(StreamTrial(streams, cost.seconds(Load().plus(engine.max_tokens)), pace.tokens_per_s))
        longest = (held_memory().resident - opened) / streams
        largest = longest * pace.batch_tokens / engine.max_tokens
        self.most = min(self.most, streams_that_fit(self._memory - opened, largest))
        return MeasuredEngine(engine, cost, streams)


def streams_that_fit(room: float, largest: float) -> int:
    """Return how many streams fit into `room` bytes if each takes `largest` bytes at its peak; at least one."""
    return max(1, int(room / max(1.0, largest)))
