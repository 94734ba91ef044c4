"""`python -m bench run`: compare our variants with the plain export and with other libraries."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from bench import catalog, compare, fidelity, host, limit, progress, rounds
from bench.catalog import PEAKS, PEERS, SOURCE, Entry
from bench.process import WorkerError
from bench.ranking import REFERENCE, Ranking, Standing, no_peaks
from bench.rounds import LOAD_TIMEOUT_S, Contestants, RoundPace, Runner
from bench.subject import BenchSubject
from bench.workloads import Workload
from build import texts

# Exporting or calibrating a full-size model takes minutes.
_PREPARE_TIMEOUT_S = 3600.0
# Every n-th of the project's texts: enough to check that a contender computes the same model.
_EVERY = 24


@dataclass
class RaceOrigin:
    """The folder and configuration of the original weights; empty if they were not found."""

    folder: str = ""
    config: dict[str, Any] = field(default_factory=dict)


def run(
    subject: BenchSubject, entries: Sequence[Entry], workloads: list[Workload], pace: RoundPace, source: str
) -> Ranking:
    """Measure `entries` on `workloads`; `source` is the folder of the original weights, or empty.

    A contender that is not installed or that fails is listed in `skipped` with the reason.
    """
    described = host.describe()
    skipped: dict[str, str] = {}
    origin = _prepare_source(subject, entries, source, skipped)
    ready = [entry for entry in entries if entry.name not in skipped and _prepare(subject, entry, origin, skipped)]
    ranking = Ranking(subject, described, workloads, {}, skipped, no_peaks(), _operations(origin))
    with _started(subject, [*PEAKS, *ready]) as contestants:
        standings = {entry.name: Standing(entry) for entry in [*PEAKS, *ready]}
        _load(contestants, subject, standings, origin)
        ranking.reference = _check_agreement(contestants, subject, standings)
        _measure(contestants, workloads, pace, standings)
    skipped |= contestants.dropped
    ranking.standings = {e.name: standings[e.name] for e in ready if e.name not in skipped}
    ranking.peaks = {e.precision: standings[e.name].turns for e in PEAKS if e.name not in skipped}
    return ranking


def contenders(subject: BenchSubject, chosen: Sequence[str]) -> list[Entry]:
    """Return the chosen contenders, ours first; all of them if `chosen` is empty.

    Raises:
        ValueError: a name is unknown.
    """
    known = {entry.name: entry for entry in (*catalog.ours(subject.precisions), *PEERS)}
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise ValueError(f"no contender is named {', '.join(unknown)}; there are {', '.join(known)}")
    return [entry for name, entry in known.items() if not chosen or name in chosen]


def _prepare_source(
    subject: BenchSubject, entries: Sequence[Entry], source: str, skipped: dict[str, str]
) -> RaceOrigin:
    """Find and export the original weights; without them, skip all peers."""
    try:
        return RaceOrigin(**_ask_prepare(subject, SOURCE, source))
    except WorkerError as error:
        why = f"the original weights are missing: {error}"
        progress.say(f"{why}; no share of the machine's limit can be told")
        skipped |= {entry.name: why for entry in entries if not entry.ours}
        return RaceOrigin()


def _prepare(subject: BenchSubject, entry: Entry, origin: RaceOrigin, skipped: dict[str, str]) -> bool:
    """Convert the model for one contender if it needs that; return whether it can start."""
    try:
        if entry.converted:
            _ask_prepare(subject, entry, origin.folder)
        elif missing := catalog.missing(entry):
            raise WorkerError(missing)
    except WorkerError as error:
        skipped[entry.name] = str(error)
        return False
    return True


def _ask_prepare(subject: BenchSubject, entry: Entry, source: str) -> dict[str, Any]:
    if missing := catalog.missing(entry):
        raise WorkerError(missing)
    with progress.step(f"prepare {entry.name}"), catalog.start(entry, subject.threads, entry is not SOURCE) as worker:
        return worker.ask("prepare", _PREPARE_TIMEOUT_S, task=asdict(subject.task(entry.precision, source)))


@contextmanager
def _started(subject: BenchSubject, entries: Sequence[Entry]) -> Iterator[Contestants]:
    with ExitStack() as stack:
        workers: dict[str, Runner] = {}
        for entry in entries:
            workers[entry.name] = stack.enter_context(catalog.start(entry, subject.threads))
        yield Contestants(workers)


def _load(contestants: Contestants, subject: BenchSubject, standings: dict[str, Standing], origin: RaceOrigin) -> None:
    """Load the contenders one at a time, so that loads do not compete."""
    for name, standing in standings.items():
        with progress.step(f"load {name}"):
            task = asdict(subject.task(standing.entry.precision, origin.folder))
            answer = contestants.ask(name, "load", LOAD_TIMEOUT_S, task=task)
        if answer is not None:
            standing.load_s, standing.resident_at_rest = answer["seconds"], answer["resident"]
            standing.versions, standing.notes = answer["versions"], answer["notes"]


def _check_agreement(contestants: Contestants, subject: BenchSubject, standings: dict[str, Standing]) -> str:
    """Compare all contenders' vectors for a few real texts with the reference's; return the reference's name."""
    sequences = subject.encode(texts.read().items[::_EVERY])
    racing = [name for name in contestants.names() if standings[name].entry not in PEAKS]
    with progress.step("do all compute the same model?"):
        embedded = {name: compare.embed(contestants, name, sequences, "agreement") for name in racing}
    vectors = {name: rows for name, rows in embedded.items() if rows is not None}
    reference = REFERENCE if REFERENCE in vectors else next(iter(vectors), "")
    for name, rows in vectors.items():
        standings[name].agreement = float(fidelity.cosine(rows, vectors[reference]).mean())
    return reference


def _measure(
    contestants: Contestants, workloads: list[Workload], pace: RoundPace, standings: dict[str, Standing]
) -> None:
    for workload in workloads:
        with progress.step(f"{workload.title}, {pace.rounds} rounds") as show:
            for name, done in rounds.measure(contestants, workload, pace, show).items():
                standings[name].turns[workload.name] = done
    for name in contestants.names():
        answer = contestants.ask(name, "memory")
        standings[name].resident_at_end = answer["resident"] if answer else None


def _operations(origin: RaceOrigin) -> int | None:
    try:
        return limit.operations_per_token(origin.config)
    except KeyError:
        return None
