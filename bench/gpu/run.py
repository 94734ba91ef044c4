"""Run the GPU benchmark: speed of engine, torch and peak; fidelity to fp32 on CPU; the server over HTTP."""

import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench import catalog, fidelity, host, progress, rounds
from bench.catalog import Entry
from bench.compare import embed
from bench.contenders import Task
from bench.gpu import batches
from bench.gpu.report import OURS, PEAK, TORCH, GpuReport, Served
from bench.load.call import MANY, ONE, Dialect
from bench.load.caller import Caller
from bench.load.load import LoadScenario
from bench.load.service import LoadedService, ServiceCommand
from bench.load.stage import CLIENTS, MIXED, Stage
from bench.load.stage import LoadPace as StagePace
from bench.process import Worker, WorkerError
from bench.rounds import LOAD_TIMEOUT_S, Contestants, RoundPace
from bench.subject import BenchSubject
from bench.workloads import Workload
from server.batching.calibration import MOST_TOKENS

REFERENCE = "fp32 on CPU"
BATCH = 32
# Texts in the bare engine's single call, the baseline for the server's rate.
CORPUS = 1024
# As large as a server on a GPU chooses, so that neither batches nor the queue are the bottleneck.
_ROOM = {"MAX_BATCH_TOKENS": "65536", "MAX_QUEUE_TOKENS": "4000000"}
_PREPARE_TIMEOUT_S = 300.0
_MOST_TURNS_S = 20.0

Tasks = dict[str, tuple[Entry, Task]]


@dataclass(frozen=True)
class GpuPlan:
    """Device, precision, number of rounds, and seconds of each load."""

    device: str
    precision: str
    rounds: int
    seconds: float
    source: str = ""


def run(subject: BenchSubject, plan: GpuPlan, sample: list[str]) -> GpuReport:
    """Run all measurements; a peer that fails is listed in `skipped`.

    Raises:
        WorkerError: our engine or the server failed.
    """
    origin, skipped = _origin(subject, plan)
    loads = batches.make(subject.vocabulary, subject.manifest.max_tokens, plan.device)
    report = GpuReport(subject, host.describe(), plan.device, plan.precision, loads, origin.get("config", {}), skipped)
    tasks = _tasks(subject, plan, origin)
    with _started(subject, tasks) as contestants:
        _load(contestants, tasks, report)
        _measure_fidelity(contestants, subject, sample, report)
        _measure_speed(contestants, loads, plan, report)
        report.skipped |= contestants.dropped
        _serve(subject, plan, contestants, report)
    return report


def _origin(subject: BenchSubject, plan: GpuPlan) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the source's folder and configuration, or the reason why there is none."""
    entry = Entry("source", "build", "bench.origin", "fp32")
    try:
        if missing := catalog.missing(entry):
            raise WorkerError(missing)
        with progress.step("source"), catalog.start(entry, subject.threads) as worker:
            task = asdict(subject.task("fp32", plan.source))
            return worker.ask("prepare", _PREPARE_TIMEOUT_S, task=task), {}
    except WorkerError as error:
        return {}, {TORCH: str(error)}


def _tasks(subject: BenchSubject, plan: GpuPlan, origin: dict[str, Any]) -> Tasks:
    """Return each contender's entry and task, in turn order."""
    half = "fp16" if plan.device == "cuda" else "fp32"
    tokens = max(MOST_TOKENS["cuda"], subject.batch_tokens) if plan.device == "cuda" else subject.batch_tokens
    there = replace(subject.task(plan.precision), device=plan.device, batch_tokens=tokens)
    tasks = {
        OURS: (Entry(OURS, "runtime", "bench.contenders.variant", plan.precision, ours=True), there),
        REFERENCE: (Entry(REFERENCE, "runtime", "bench.contenders.variant", "fp32"), subject.task("fp32")),
        PEAK: (Entry(PEAK, "runtime", "bench.contenders.peak", half), replace(there, precision=half)),
    }
    if origin:
        entry = Entry(TORCH, "build", "bench.contenders.torch_model", half)
        tasks[TORCH] = (entry, replace(there, precision=half, source=str(origin["folder"])))
    return tasks


@contextmanager
def _started(subject: BenchSubject, tasks: Tasks) -> Iterator[Contestants]:
    with ExitStack() as stack:
        workers = {}
        for name, (entry, _) in tasks.items():
            # Use the current interpreter as runtime: a GPU machine has its own runtime environment.
            ours = entry.environment == "runtime"
            program = ("bench.worker", entry.module)
            made = Worker(name, Path(sys.executable), program, {}) if ours else catalog.start(entry, subject.threads)
            workers[name] = stack.enter_context(made)
        yield Contestants(workers)


def _load(contestants: Contestants, tasks: Tasks, report: GpuReport) -> None:
    for name, (_, task) in tasks.items():
        with progress.step(f"load {name}"):
            answer = contestants.ask(name, "load", LOAD_TIMEOUT_S, task=asdict(task))
        if answer:
            report.notes[name] = answer["notes"]
            report.versions[name] = answer["versions"]
    if OURS in contestants.dropped:
        raise WorkerError(contestants.dropped[OURS])


def _measure_fidelity(contestants: Contestants, subject: BenchSubject, sample: list[str], report: GpuReport) -> None:
    sequences = subject.encode(sample)
    with progress.step(f"fidelity, {len(sequences)} texts"):
        embedded = {name: embed(contestants, name, sequences, "fidelity") for name in (OURS, REFERENCE)}
    ours, reference = embedded[OURS], embedded[REFERENCE]
    if ours is None or reference is None:
        raise WorkerError(contestants.dropped.get(OURS) or contestants.dropped[REFERENCE])
    report.fidelity = fidelity.compare(ours, reference)


def _measure_speed(contestants: Contestants, loads: list[Workload], plan: GpuPlan, report: GpuReport) -> None:
    racing = Contestants({name: runner for name, runner in contestants.runners.items() if name != REFERENCE})
    racing.dropped = dict(contestants.dropped)
    for load in loads:
        with progress.step(f"speed, {load.title}") as show:
            measured = rounds.measure(racing, load, RoundPace(plan.rounds, _MOST_TURNS_S), show)
        for name, turns in measured.items():
            report.turns.setdefault(name, {})[load.name] = turns
    contestants.dropped |= racing.dropped
    if OURS in contestants.dropped:
        raise WorkerError(contestants.dropped[OURS])


def _serve(subject: BenchSubject, plan: GpuPlan, contestants: Contestants, report: GpuReport) -> None:
    """Time the server's start, load it with batches and single texts, and repeat that with a no-op engine."""
    pace = StagePace(plan.rounds, plan.seconds, min(2.0, plan.seconds), 0.0, 0.0, 0.0)
    stage = Stage(subject, plan.precision, pace)
    texts = [stage.corpora[MIXED].text(number) for number in range(CORPUS if plan.device == "cuda" else BATCH)]
    engine = _engine_rate(contestants, subject.encode(texts), plan)
    command = stage.command()
    with stage.caller() as caller:
        started = time.monotonic()
        with _service(command, {"DEVICE": plan.device}) as service:
            report.ready_s = time.monotonic() - started
            report.served = list(_loads(caller, service, plan, pace, engine, subject))
        instant = replace(command, name="no engine", arguments=(sys.executable, "-m", "bench.gpu.instant"))
        with _service(instant, {"QUANTIZATION": "fp32", **_ROOM}) as service:
            report.ceiling = list(_loads(caller, service, plan, pace, engine, subject))


def _service(command: ServiceCommand, settings: dict[str, str]) -> LoadedService:
    with progress.step(f"start {command.name}"):
        return LoadedService(replace(command, environment={**command.environment, **settings}))


def _loads(
    caller: Caller, service: LoadedService, plan: GpuPlan, pace: StagePace, engine: float, subject: BenchSubject
) -> Iterator[Served]:
    for name, dialect, count in (
        (f"batches of {BATCH} texts", MANY, BATCH),
        (f"batches of {BATCH} texts, base64", _base64(subject), BATCH),
        ("single texts", ONE, 1),
    ):
        load = LoadScenario(
            MIXED, plan.seconds, pace.warm_s, texts=count, clients=_clients(plan, count), dialect=dialect
        )
        with progress.step(f"http, {service.name}: {name}"):
            yield Served(name, caller.run(service, load), engine)


def _engine_rate(contestants: Contestants, sequences: list[list[int]], plan: GpuPlan) -> float:
    """Return the bare engine's tokens a second on the clients' texts."""
    answer = contestants.runners[OURS].ask("run", rounds.TIMEOUT_S, sequences=sequences, seconds=plan.seconds, most=50)
    return sum(map(len, sequences)) / statistics.median(map(float, answer["seconds"]))


def _clients(plan: GpuPlan, texts: int) -> int:
    """Return enough clients that a batch is always queued: a GPU computes hundreds of texts at once."""
    return (CLIENTS if texts > 1 else 16 * CLIENTS) if plan.device == "cuda" else 4


def _base64(subject: BenchSubject) -> Dialect:
    before = f'{{"model":"{subject.manifest.name}","encoding_format":"base64","input":["'
    return Dialect("/v1/embeddings", before, '"]}')
