"""The dry run: counts and tokenizes the whole input, embeds a sample and estimates time and cost; writes nothing."""

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from server.inference.engine import Ids
from server.migrate.commands.model import JobModel
from server.migrate.commands.progress import duration
from server.migrate.inputs import open_source
from server.migrate.job.reservoir import Reservoir
from server.migrate.options import Options
from server.migrate.pipeline.embed import Embedder
from server.migrate.pipeline.parallel_engine import ParallelEngine
from server.migrate.pipeline.prepare import Prepared
from server.migrate.pipeline.window import windows
from server.migrate.sources.source import checked
from server.settings import Settings
from server.system.machine import resident_bytes

SAMPLE = 512
SEED = 1

Estimate = dict[str, Any]


def estimate(options: Options, settings: Settings) -> Estimate:
    """Count and tokenize the input, measure the throughput on a sample of SAMPLE texts, and extrapolate to all tokens.

    Raises:
        MigrateError: the input cannot be read.
        StartError, InvalidError: the model cannot be used as asked.
    """
    source = open_source(options.input.reveal(), options.input_format, options.fields)
    checked(len(list(islice(source.records(0), 1))), options.input)
    model = JobModel(options, settings)
    mine = (record for record in source.records(0) if options.shard.takes(record.ordinal))
    runner, batch_tokens = model.start()  # first, since it finds the ids that the graph has no embedding for
    tally = InputTally()
    for window in windows(mine, options.bounds):
        tally.add(model.preparer.prepare(window, {}))
    rate = _tokens_per_s(runner, batch_tokens, tally.sample) if tally.rows else 0.0
    seconds = tally.tokens / rate if rate else 0.0
    return {
        **tally.summary(),
        "tokens_per_s": round(rate),
        "seconds": round(seconds, 1),
        "cost": None if options.price_per_hour is None else round(options.price_per_hour * seconds / 3600, 4),
        "vector_bytes": tally.rows * model.output.kind.bytes_of(model.dimension),
        "memory_bytes": resident_bytes(),
    }


class InputTally:
    """Counts and a length histogram (powers of two) of an input, with a uniform sample of its texts."""

    def __init__(self) -> None:
        self._counts = {"records": 0, "rejected": 0, "truncated": 0}
        self._histogram: dict[int, int] = {}
        self._drawn = Reservoir[Ids](SAMPLE, SEED)
        self.tokens = 0

    @property
    def rows(self) -> int:
        """How many texts there are."""
        return self._drawn.seen

    @property
    def sample(self) -> list[Ids]:
        """The sampled texts."""
        return self._drawn.items

    def add(self, prepared: Prepared) -> None:
        """Count a window."""
        self._counts["records"] += prepared.records
        self._counts["rejected"] += len(prepared.rejects)
        for piece in prepared.pieces:
            self._counts["truncated"] += piece.tokens > len(piece.ids)
            self.tokens += len(piece.ids)
            upper = 1 << (piece.tokens - 1).bit_length()
            self._histogram[upper] = self._histogram.get(upper, 0) + 1
            self._drawn.add(piece.ids)

    def summary(self) -> dict[str, Any]:
        """Return the counts; `histogram` maps a bucket's upper bound in tokens, before truncation, to its texts."""
        histogram = {str(upper): self._histogram[upper] for upper in sorted(self._histogram)}
        return {**self._counts, "rows": self.rows, "tokens": self.tokens, "histogram": histogram}


def lines(estimate: Estimate) -> Iterator[str]:
    """Format an estimate as lines of text."""
    yield f"{estimate['records']:,} records, {estimate['rejected']:,} of them cannot be embedded"
    yield f"{estimate['rows']:,} rows of {estimate['tokens']:,} tokens, {estimate['truncated']:,} of them truncated"
    for upper, count in estimate["histogram"].items():
        yield f"  up to {int(upper):>7,} tokens: {count:,}"
    yield f"about {duration(estimate['seconds'])} at {estimate['tokens_per_s']:,} tokens/s, measured on a sample"
    if estimate["cost"] is not None:
        yield f"about {estimate['cost']:,} at the price given"
    yield f"{estimate['vector_bytes'] / 1e6:,.1f} MB of vectors"
    if estimate["memory_bytes"]:
        yield f"{estimate['memory_bytes'] / 1e6:,.0f} MB of memory, whatever the size of the input"


def _tokens_per_s(runner: ParallelEngine, batch_tokens: int, sample: list[Ids]) -> float:
    started = time.perf_counter()
    Embedder(runner, batch_tokens, None, None).vectors(sample)
    return float(np.sum([len(ids) for ids in sample])) / max(time.perf_counter() - started, 1e-9)
