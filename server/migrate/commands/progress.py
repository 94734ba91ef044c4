"""Shows a job's progress: a progress bar on a terminal, elsewhere a line every EVERY_S seconds."""

import importlib
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

EVERY_S = 10.0


class Progress:
    """Texts and tokens done, their rates, and the remaining time if the total is known."""

    def __init__(
        self,
        total: int | None,
        done: int,
        stream: TextIO = sys.stderr,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start at `done` of `total` texts (more than 0 in a resumed job); rates are measured from now on."""
        self._total = total
        self._first = self._done = done
        self._tokens = 0
        self._stream = stream
        self._clock = clock
        self._started = self._said = clock()
        self._bar = _bar(stream, total, done)

    def advance(self, texts: int, tokens: int) -> None:
        """Add texts and tokens that are done; where tokens are not counted, 0."""
        self._done += texts
        self._tokens += tokens
        if self._bar is not None:
            if self._tokens:
                self._bar.set_postfix_str(f"{self._tokens / self._elapsed():,.0f} tokens/s", refresh=False)
            self._bar.update(texts)
        elif self._clock() - self._said >= EVERY_S:
            self._said = self._clock()
            self._stream.write(f"{self.line()}\n")
            self._stream.flush()

    def line(self) -> str:
        """Format the progress as one line."""
        texts_per_s = (self._done - self._first) / self._elapsed()
        of = f" of {self._total:,}" if self._total is not None else ""
        parts = [f"{self._done:,}{of} texts", f"{texts_per_s:,.0f} texts/s"]
        if self._tokens:
            parts.append(f"{self._tokens / self._elapsed():,.0f} tokens/s")
        if self._total is not None and texts_per_s:
            parts.append(f"{duration((self._total - self._done) / texts_per_s)} left")
        return ", ".join(parts)

    def close(self) -> None:
        """Close the progress bar."""
        if self._bar is not None:
            self._bar.close()

    def _elapsed(self) -> float:
        return max(self._clock() - self._started, 1e-9)


def duration(seconds: float) -> str:
    """Format a duration in hours, minutes and seconds."""
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
