import gc
import weakref
from typing import Any

import numpy as np
import pytest

from server.batching.cost_model import CostModel
from server.errors import StartError
from server.service import stream_search
from server.service.stream_search import StreamSearch, streams_that_fit
from server.settings import resolve
from server.system.machine import HeldMemory
from tests.unit.server.fakes import FakeEngine

TEXT = np.array([1, 2, 3], np.int64)
THREADS = 8
MB = 2**20


class Opened:
    """Opens engines, and remembers how many streams each was opened for and whether two were ever alive."""

    def __init__(self) -> None:
        self.streams: list[int] = []
        self.together = False
        self._alive: weakref.ref[FakeEngine] | None = None

    def __call__(self, streams: int) -> FakeEngine:
        gc.collect()
        self.together |= self._alive is not None and self._alive() is not None
        self.streams.append(streams)
        engine = FakeEngine(max_tokens=512)
        engine.streams = streams  # type: ignore[attr-defined]
        self._alive = weakref.ref(engine)
        return engine


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
    """Return the seconds of the longest text by the number of streams, for the test to fill."""
    seconds: dict[int, float] = {}

    def measure(engine: Any, _: Any, *, packed: bool, streams: int) -> CostModel:
        assert engine.streams == streams
        return CostModel(0.0, seconds[streams] / 512, 0.0, packed)

    monkeypatch.setattr(stream_search, "measure", measure)
    return seconds


def search(opened: Opened, memory: int = 10**12, **given: str) -> StreamSearch[FakeEngine]:
    return StreamSearch(opened, TEXT, resolve(given), THREADS, memory, packed=True)


def test_more_streams_are_tried_while_the_longest_text_stays_quick(timed: dict[int, float]) -> None:
    timed |= {1: 0.05, 2: 0.09, 4: 0.16, 8: 0.30, 6: 0.24, 7: 0.27}
    opened = Opened()
    measured = search(opened).run()
    assert (measured.streams, opened.streams) == (6, [1, 2, 4, 8, 6, 7, 6])
    assert not opened.together
    assert search(Opened(), LONGEST_TEXT_S="1").run().streams == 8


def test_a_large_model_is_opened_once(timed: dict[int, float]) -> None:
    timed |= {1: 0.4}
    opened = Opened()
    assert (search(opened).run().streams, opened.streams) == (1, [1])


def test_memory_bounds_the_streams(timed: dict[int, float], monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest batch is that of the longest text here; each stream of it takes 100 MB beside 400 MB of the rest."""
    timed |= {1: 0.01, 2: 0.01, 3: 0.01, 4: 0.01, 8: 0.01}
    opened = Opened()
    asked = iter(range(1000))

    def held() -> HeldMemory:
        running = opened.streams[-1] if next(asked) % 2 else 0
        return HeldMemory((400 + 100 * running) * MB, 0)

    monkeypatch.setattr(stream_search, "held_memory", held)
    assert search(opened, 700 * MB).run().streams == 3
    assert max(opened.streams) <= 3
    assert search(opened, 7000 * MB).run().streams == 8


def test_streams_that_fit() -> None:
    assert [streams_that_fit(room, 100.0) for room in (-50.0, 50.0, 250.0)] == [1, 1, 2]
    assert streams_that_fit(1e9, 0.0) >= 10**9


def test_a_search_that_takes_long_ends(timed: dict[int, float], monkeypatch: pytest.MonkeyPatch) -> None:
    timed |= {1: 0.01, 2: 0.01}
    monkeypatch.setattr(stream_search, "SEARCH_S", -1.0)
    opened = Opened()
    assert (search(opened).run().streams, opened.streams) == (1, [1])


def test_a_graph_that_cannot_be_opened_again_ends_the_start(timed: dict[int, float]) -> None:
    timed |= {1: 0.01}

    def fail(streams: int) -> FakeEngine:
        if streams > 1:
            raise StartError("the graph is damaged")
        return Opened()(streams)

    with pytest.raises(StartError, match="damaged"):
        StreamSearch(fail, TEXT, resolve({}), THREADS, 10**12, packed=True).run()
