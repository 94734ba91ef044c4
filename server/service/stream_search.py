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
from server.system.machine import held_memory

E = TypeVar("E", bound=Engine)

# No further number of streams is measured after this long.
SEARCH_S = 5.0
# Share of the memory limit that the process may hold while all streams compute their largest batches.
MEMORY_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class MeasuredEngine(Generic[E]):
    """An engine, and its cost model while `streams` batches run side by side."""

    engine: E
    cost: CostModel
    streams: int


class StreamSearch(Generic[E]):
    """Measures numbers of streams until the best is known; `trials` has what was measured, in order."""

    def __init__(
        self, open_engine: Callable[[int], E], text: Ids, settings: Settings, threads: int, *, packed: bool
    ) -> None:
        """Prepare a search for `threads` inference threads; `open_engine` opens the graph for a number of streams."""
        self.trials: list[StreamTrial] = []
        self._open, self._text, self._settings, self._packed = open_engine, text, settings, packed
        self._most = threads

    def run(self, memory_limit: int | None) -> MeasuredEngine[E]:
        """Return the engine with the best number of streams within LONGEST_TEXT_S and `memory_limit`, in bytes."""
        bound, started = self._settings.longest_text_s, time.monotonic()
        measured: MeasuredEngine[E] | None = None
        while (streams := next_streams(self.trials, self._most, bound)) is not None:
            if self.trials and time.monotonic() - started > SEARCH_S:
                break
            measured = None  # so that only one engine is in memory
            measured = self.open(streams, memory_limit)
        best = best_trial([trial for trial in self.trials if trial.streams <= self._most], bound).streams
        if measured is None or measured.streams != best:
            measured = None
            measured = self.open(best, memory_limit)
        return measured

    def open(self, streams: int, memory_limit: int | None = None) -> MeasuredEngine[E]:
        """Open the graph for `streams` streams and time it while all of them are busy."""
        engine = self._open(streams)
        opened = held_memory().resident
        cost = measure(engine, self._text, packed=self._packed, streams=streams)
        pace = plan_pace(cost, self._settings, engine.max_tokens, streams)
        self.trials.append(StreamTrial(streams, cost.seconds(Load().plus(engine.max_tokens)), pace.tokens_per_s))
        if memory_limit is not None:
            longest = (held_memory().resident - opened) / streams
            largest = longest * pace.batch_tokens / engine.max_tokens
            self._most = min(self._most, streams_that_fit(MEMORY_SHARE * memory_limit - opened, largest))
        return MeasuredEngine(engine, cost, streams)


def streams_that_fit(room: float, largest: float) -> int:
    """Return how many streams fit into `room` bytes if each takes `largest` bytes at its peak; at least one."""
    return max(1, int(room / max(1.0, largest)))
