"""How far a job is, for whoever watches: a bar on a terminal, else a line every now and then."""

import importlib
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

EVERY_S = 10.0


class Progress:
    """Texts and tokens done, their rates, and the time left where the number of texts is known."""

    def __init__(
        self,
        total: int | None,
        done: int,
        stream: TextIO = sys.stderr,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin at `done` of `total` texts, as a job does that goes on; rates count from here."""
        self._total = total
        self._first = self._done = done
        self._tokens = 0
        self._stream = stream
        self._clock = clock
        self._started = self._said = clock()
        self._bar = _bar(stream, total, done)

    def advance(self, texts: int, tokens: int) -> None:
        """Tell of texts that are done."""
        self._done += texts
        self._tokens += tokens
        if self._bar is not None:
            self._bar.set_postfix_str(f"{self._tokens / self._elapsed():,.0f} tokens/s", refresh=False)
            self._bar.update(texts)
        elif self._clock() - self._said >= EVERY_S:
            self._said = self._clock()
            self._stream.write(f"{self.line()}\n")
            self._stream.flush()

    def line(self) -> str:
        """Say how far it is."""
        texts_per_s = (self._done - self._first) / self._elapsed()
        of = f" of {self._total:,}" if self._total is not None else ""
        parts = [f"{self._done:,}{of} texts", f"{texts_per_s:,.0f} texts/s"]
        parts.append(f"{self._tokens / self._elapsed():,.0f} tokens/s")
        if self._total is not None and texts_per_s:
            parts.append(f"{duration((self._total - self._done) / texts_per_s)} left")
        return ", ".join(parts)

    def close(self) -> None:
        """Leave the terminal as it should be."""
        if self._bar is not None:
            self._bar.close()

    def _elapsed(self) -> float:
        return max(self._clock() - self._started, 1e-9)


def duration(seconds: float) -> str:
    """Write a time as people do."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _bar(stream: TextIO, total: int | None, done: int) -> Any:  # noqa: ANN401 - tqdm's, where it is installed
    if not stream.isatty():
        return None
    with suppress(ImportError):
        tqdm = importlib.import_module("tqdm").tqdm
        return tqdm(total=total, initial=done, unit=" texts", file=stream, dynamic_ncols=True)
    return None
