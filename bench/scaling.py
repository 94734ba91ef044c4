"""`python -m bench run --scaling`: what each number of streams gives on this machine, and which a server takes."""

import os
from dataclasses import asdict, dataclass, field
from typing import Any

from bench import host
from bench.progress import step
from bench.subject import BenchSubject
from bench.table import Table, number
from server.batching.stream_plan import StreamTrial
from server.service.startup import load, stream_search
from server.settings import resolve


@dataclass
class Scaling:
    """The streams that a server would take, and the measured ones."""

    subject: BenchSubject
    precision: str
    host: dict[str, object]
    longest_text_s: float
    chosen: int
    trials: list[StreamTrial]
    skipped: dict[str, str] = field(default_factory=dict)

    def heading(self) -> str:
        """Name the model, the precision and the host."""
        return f"{self.subject.manifest.name} {self.precision} on {host.line(self.host, self.subject.threads)}"

    def tables(self) -> list[Table]:
        """Return the curve as a table; the chosen number of streams is marked."""
        one = self.trials[0].tokens_per_s
        rows = []
        for trial in self.trials:
            name = f"{trial.streams}{' (STREAMS=auto)' if trial.streams == self.chosen else ''}"
            cells = [(self.subject.threads / trial.streams, 1), (trial.longest_s * 1e3, 1), (trial.tokens_per_s, 0)]
            rows.append([name, *(number(*cell) for cell in cells), number(trial.tokens_per_s / one, 2)])
        header = ("streams", "threads each", "longest text, ms", "tokens/s", "× one stream")
        return [Table(f"Streams; the longest text may take {self.longest_text_s * 1e3:g} ms", header, rows)]

    def json(self) -> dict[str, Any]:
        """Return all figures."""
        figures = [asdict(trial) for trial in self.trials]
        return {"kind": "scaling", **self.subject.json(), "machine": self.host, "streams": figures, "auto": self.chosen}


def measure(subject: BenchSubject, precision: str) -> Scaling:
    """Search as a server does at start, then measure the other powers of two up to the threads, if the memory allows.

    Raises:
        StartError: the model cannot be loaded.
    """
    described = host.describe()
    given = {"MODEL": subject.manifest.name, "MODELS_DIR": str(subject.models_dir), "QUANTIZATION": precision}
    settings = resolve({**os.environ, **given, "DEVICE": "cpu", "THREADS": str(subject.threads), "STREAMS": "auto"})
    loaded = load(settings)
    search = stream_search(loaded)
    with step("scaling: the search of a server's start"):
        chosen = search.run().streams
    for streams in curve(subject.threads):
        if streams <= search.most and streams not in {trial.streams for trial in search.trials}:
            with step(f"scaling: {streams} streams"):
                search.open(streams)
    trials = {trial.streams: trial for trial in search.trials}
    return Scaling(subject, precision, described, settings.longest_text_s, chosen, [trials[n] for n in sorted(trials)])


def curve(threads: int) -> list[int]:
    """Return the powers of two below `threads`, and `threads`."""
    return [*(2**power for power in range(threads.bit_length()) if 2**power < threads), threads]
