"""`python -m bench migrate`: compare a migration with the bare engine on texts of mixed length."""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import host
from bench.process import ROOT, WorkerError
from bench.spread import spread
from bench.subject import BenchSubject
from bench.table import Table, number
from bench.workloads import SEED, lognormal_lengths
from server.inference.engine import Ids
from server.migrate import options
from server.migrate.commands.model import JobModel, settings_of
from server.migrate.pipeline.parallel_engine import ParallelEngine
from server.migrate.record import Record

# As in the workload 64-mixed.
MEAN_TOKENS, LONGEST = 42, 250
WORDS = 4000
TIMEOUT_S = 3600.0


@dataclass(frozen=True)
class Turn:
    """Seconds of one round: the engine on all texts, the migration's windows, and its whole process."""

    engine: float
    windows: float
    whole: float


@dataclass
class MigrationComparison:
    """Results of all rounds."""

    subject: BenchSubject
    host: dict[str, object]
    precision: str
    batch_tokens: int
    texts: int
    tokens: int
    turns: list[Turn]
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """The migration's throughput over the engine's: the median of per-round ratios, which cancels drift."""
        return statistics.median(turn.engine / turn.windows for turn in self.turns)

    def heading(self) -> str:
        """Name the model, the texts and the machine."""
        name = f"{self.subject.manifest.name} {self.precision}"
        mixed = f"{number(self.texts)} texts of mixed length, {number(self.tokens)} tokens"
        return f"{name}, {mixed}, {self.batch_tokens} tokens a run\n{host.line(self.host, self.subject.threads)}"

    def tables(self) -> list[Table]:
        """Return the figures as a table."""
        turns = self.turns
        rows = [
            self._row("engine alone, all texts sorted by length", [turn.engine for turn in turns], ""),
            self._row("migration to .npy, JSON read to vectors on disk", [turn.windows for turn in turns], self.share),
            self._row("the same with start, first reading and verification", [turn.whole for turn in turns], ""),
        ]
        return [Table(f"Tokens/s, {len(turns)} rounds in turns", ("", "median", "least", "most", "of engine's"), rows)]

    def json(self) -> dict[str, object]:
        """Return all figures, raw samples included."""
        own = {"precision": self.precision, "batch_tokens": self.batch_tokens, "texts": self.texts}
        measured = {"tokens": self.tokens, "turns": [asdict(turn) for turn in self.turns], "share": self.share}
        return {"machine": self.host, **self.subject.json(), **own, **measured}

    def _row(self, name: str, seconds: Sequence[float], share: float | str) -> tuple[str, ...]:
        speeds = spread([self.tokens / second for second in seconds])
        figures = (number(speeds.median), number(speeds.low), number(speeds.high))
        return (name, *figures, share if isinstance(share, str) else f"{share:.1%}")


def compare(
    subject: BenchSubject, precision: str, texts: int, rounds: int, show: Callable[[str], None]
) -> MigrationComparison:
    """Measure both in interleaved rounds; the migration runs in its own process, as for a user.

    Raises:
        WorkerError: the migration failed.
        StartError: the model cannot be started.
    """
    described = host.describe()
    with tempfile.TemporaryDirectory(prefix="bench-migrate-") as folder:
        source = Path(folder) / "texts.json"
        source.write_text(json.dumps(mixed(subject, texts)), "utf-8")
        environ = _environment(subject, precision)
        asked = options.parse(["--input", str(source), "--output", str(Path(folder) / "out.npy")])
        model = JobModel(asked, settings_of(asked, environ))
        runner, batch_tokens = model.start()
        sequences = _encoded(model, json.loads(source.read_bytes()))
        turns: list[Turn] = []
        for number_ in range(rounds):
            show(f"round {number_ + 1} of {rounds}")
            alone = _engine_s(runner, sequences, batch_tokens)
            windows, whole = _migration_s(source, environ | {"MAX_BATCH_TOKENS": str(batch_tokens)})
            turns.append(Turn(alone, windows, whole))
    tokens = sum(map(len, sequences))
    return MigrationComparison(subject, described, precision, batch_tokens, texts, tokens, turns)


def mixed(subject: BenchSubject, count: int) -> list[str]:
    """Return texts of one-token words with log-normal lengths; deterministic."""
    source = random.Random(SEED)  # noqa: S311 - not security-relevant
    longest = min(LONGEST, subject.manifest.max_tokens)
    lengths = lognormal_lengths(count, count * min(MEAN_TOKENS, longest // 2), longest)
    source.shuffle(lengths)
    words = subject.words(WORDS)
    around = len(subject.vocabulary.prefix) + len(subject.vocabulary.suffix)
    return [" ".join(source.choices(words, k=max(1, length - around))) for length in lengths]


def _environment(subject: BenchSubject, precision: str) -> dict[str, str]:
    chosen = {"MODEL": subject.manifest.name, "MODELS_DIR": str(subject.models_dir), "QUANTIZATION": precision}
    return {**os.environ, **chosen, "THREADS": str(subject.threads), "DEVICE": "cpu"}


def _encoded(model: JobModel, texts: list[str]) -> list[Ids]:
    records = [Record(place, str(place), text) for place, text in enumerate(texts)]
    return [piece.ids for piece in model.preparer.prepare(records, {}).pieces]


def _engine_s(runner: ParallelEngine, sequences: Sequence[Ids], batch_tokens: int) -> float:
    started = time.perf_counter()
    runner.embed(sequences, batch_tokens)
    return time.perf_counter() - started


def _migration_s(source: Path, environ: dict[str, str]) -> tuple[float, float]:
    """Return the seconds of the windows, from the migration's receipt, and of the whole process."""
    output = source.with_name("out.npy")
    command = [sys.executable, "-m", "server.migrate", "--input", str(source), "--output", str(output)]
    started = time.perf_counter()
    done = subprocess.run(
        [*command, "--restart", "--json"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    whole = time.perf_counter() - started
    if done.returncode:
        raise WorkerError(f"the migration failed: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    receipt: dict[str, Any] = json.loads(done.stdout)
    return float(receipt["seconds"]), whole
