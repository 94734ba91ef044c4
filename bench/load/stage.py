"""Context of a scenario: model, texts, durations, and how to start a server."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from bench import progress, workloads
from bench.load import corpus
from bench.load.call import HOST
from bench.load.caller import Caller, Run
from bench.load.corpus import MOST_WORDS, Corpus
from bench.load.load import LoadScenario
from bench.load.service import LoadedService, ServiceCommand
from bench.process import Worker, WorkerError
from bench.rounds import LOAD_TIMEOUT_S
from bench.subject import BenchSubject

MIXED, SHORT_QUERIES, LONG, PAGES = "mixed", "short", "long", "pages"
# Text lengths, truncated to the model's maximum.
_LENGTHS = {
    MIXED: next(shape.lengths for shape in workloads.SHAPES if shape.name == "64-mixed"),
    SHORT_QUERIES: next(shape.lengths for shape in workloads.SHAPES if shape.name == "8-queries"),
    LONG: (100,),
    PAGES: (200,),
}
CLIENTS = 32
# The bare engine cycles through BATCHES batches of BATCH texts.
BATCH, BATCHES = 32, 32


@dataclass(frozen=True)
class LoadPace:
    """How long to measure: rounds of `seconds`, each after `warm_s`; long scenarios have their own durations.

    `idle` is the number of idle connections. `queue_tokens` is the server's queue limit under overload (0: its
    default); measurement starts once the queue is full, which takes a slow model a minute. Callers with a timeout are
    measured with each of `patience_s`, at each of `overloads` times the capacity.
    """

    rounds: int
    seconds: float
    warm_s: float
    overload_s: float
    soak_s: float
    steady_s: float
    queue_tokens: int = 0
    idle: int = 5000
    patience_s: tuple[float, ...] = (0.5, 1.5, 5.0)
    overloads: tuple[float, ...] = (1.5, 2.0, 4.0, 10.0)


# Durations of the scenarios that run for minutes.
LONG_ONES = ("overload_s", "soak_s", "steady_s")
FULL = LoadPace(rounds=5, seconds=15.0, warm_s=2.0, overload_s=300.0, soak_s=600.0, steady_s=300.0)
SHORT = LoadPace(
    rounds=2,
    seconds=3.0,
    warm_s=1.0,
    overload_s=10.0,
    soak_s=20.0,
    steady_s=5.0,
    queue_tokens=8192,
    patience_s=(0.5,),
    overloads=(2.0,),
)


@dataclass(frozen=True)
class Stage:
    """A built model in one precision, and the durations. `source` is the folder of the original weights, or empty."""

    subject: BenchSubject
    precision: str
    pace: LoadPace
    source: str = ""

    @cached_property
    def corpora(self) -> dict[str, Corpus]:
        """The corpora by name."""
        words = self.subject.words(MOST_WORDS)
        vocabulary, longest = self.subject.vocabulary, self.subject.manifest.max_tokens
        affixes = len(vocabulary.prefix) + len(vocabulary.suffix)
        return {
            name: corpus.make(words, [min(length, longest) for length in lengths], affixes)
            for name, lengths in _LENGTHS.items()
        }

    def caller(self) -> Caller:
        """Start a client process with all corpora."""
        return Caller(self.corpora)

    def command(self) -> ServiceCommand:
        """Return how to start our server; settings not listed come from this process's environment."""
        settings = {
            "MODEL": self.subject.manifest.name,
            "MODELS_DIR": str(self.subject.models_dir),
            "QUANTIZATION": self.precision,
            "DEVICE": "cpu",
            "HOST": HOST,
            "PORT": "{port}",
            "API_KEY": "",
            "THREADS": str(self.subject.threads),
            "LOG_LEVEL": "error",
        }
        return ServiceCommand("server", (sys.executable, "-m", "server"), settings)

    def serve(self, **settings: str) -> LoadedService:
        """Start our server with additional settings.

        Raises:
            WorkerError: the server does not start.
        """
        command = self.command()
        return LoadedService(replace(command, environment={**command.environment, **settings}))

    @contextmanager
    def engine(self, streams: int) -> Iterator[tuple[Worker, float]]:
        """Load the bare engine with `streams` streams, as in the server; yield it and its load time in seconds.

        Raises:
            WorkerError: the engine cannot be loaded.
        """
        sequences = self.subject.encode([self.corpora[MIXED].text(number) for number in range(BATCH * BATCHES)])
        batches = [sequences[start : start + BATCH] for start in range(0, len(sequences), BATCH)]
        with Worker("engine", Path(sys.executable), ("bench.load.engine",), {}) as worker:
            task = asdict(self.subject.task(self.precision))
            opened = worker.ask("load", LOAD_TIMEOUT_S, task=task, batches=batches, streams=streams)
            yield worker, opened["seconds"]

    def capacity(self, caller: Caller, service: LoadedService, *beside: LoadScenario) -> Run:
        """Measure a service's capacity on mixed texts with a saturating closed loop, concurrent with other loads.

        Raises:
            WorkerError: no request succeeded.
        """
        load = LoadScenario(MIXED, self.pace.seconds, self.pace.warm_s, clients=2 * CLIENTS, dialect=service.dialect)
        run = caller.run(service, load, *beside)
        if not run.loads[0].texts_per_s:
            raise WorkerError(f"{service.name}: answered none of {run.loads[0].planned} texts")
        return run

    def rate(self, caller: Caller, service: LoadedService, scenario: str, share: float) -> float:
        """Measure the capacity for a scenario; return a share of it, in mixed texts a second.

        Raises:
            WorkerError: no request succeeded.
        """
        with progress.step(f"{scenario}: capacity"):
            return share * self.capacity(caller, service).loads[0].texts_per_s
