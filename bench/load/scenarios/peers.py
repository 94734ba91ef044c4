"""Compare our server with others: closed-loop clients, one text per request, interleaved rounds."""

import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict

from bench import catalog, progress
from bench.load.call import HOST, Dialect
from bench.load.caller import Caller, Run
from bench.load.finding import Finding, answers
from bench.load.load import LoadScenario
from bench.load.service import LoadedService, ServiceCommand
from bench.load.stage import CLIENTS, MIXED, Stage
from bench.load.verdict import LoadVerdict, all_answered
from bench.process import Worker, WorkerError
from bench.spread import spread
from bench.table import Table, number

OURS = "server"
TIMES = 8.0
_FIND_S = 900.0

Rounds = dict[str, list[Run]]


def run(stage: Stage) -> Finding:
    """Start all available services and measure them in turns; the others are idle meanwhile."""
    skipped: dict[str, str] = {}
    with ExitStack() as stack:
        services = _started(stage, stack, skipped)
        rounds = _measured(stage, stack.enter_context(stage.caller()), services)
    last = {name: runs[-1].loads[0] for name, runs in rounds.items()}
    title = f"{CLIENTS} clients, one text a request, last of {stage.pace.rounds} rounds"
    data = {"rounds": {name: [asdict(run) for run in runs] for name, runs in rounds.items()}}
    return Finding(judge(rounds), [_speeds(rounds), answers(title, last)], data, skipped)


def judge(rounds: Mapping[str, Sequence[Run]]) -> list[LoadVerdict]:
    """Judge the median speed-up over each peer."""
    verdicts = [_against(name, times) for name, times in ratios(rounds).items()]
    return [*verdicts, all_answered(run.loads[0] for run in rounds[OURS])]


def ratios(rounds: Mapping[str, Sequence[Run]]) -> dict[str, float | None]:
    """Return our median speed-up in texts/s over each peer; None if a peer answered nothing in some round."""
    return {name: _ratio(rounds[OURS], runs) for name, runs in rounds.items() if name != OURS}


def _ratio(ours: Sequence[Run], theirs: Sequence[Run]) -> float | None:
    pairs = [(own.loads[0].texts_per_s, their.loads[0].texts_per_s) for own, their in zip(ours, theirs, strict=True)]
    if not all(their for _, their in pairs):
        return None
    return statistics.median(own / their for own, their in pairs)


def _against(name: str, times: float | None) -> LoadVerdict:
    answer = "nothing answered in one of the rounds: measure longer ones" if times is None else f"{times:.1f} times"
    return LoadVerdict(
        f"at least {TIMES:g} times as many texts/s as {name}", answer, times is not None and times >= TIMES
    )


def commands(stage: Stage, folder: str) -> list[ServiceCommand]:
    """Return how to start the peers on the original weights in `folder`, with our number of threads."""
    programs = catalog.PYTHONS["peers"].parent
    threads = str(stage.subject.threads)
    quiet = {"OMP_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "false"}
    infinity = [str(programs / "infinity_emb"), "v2", "--model-id", folder, "--engine", "torch", "--device", "cpu"]
    infinity += ["--no-bettertransformer", "--log-level", "error", "--host", HOST, "--port", "{port}"]
    plain = [str(programs / "uvicorn"), "bench.load.fastapi_service:app", "--host", HOST, "--port", "{port}"]
    plain += ["--log-level", "warning", "--no-access-log"]
    return [
        ServiceCommand("infinity", infinity, quiet, Dialect("/embeddings", '{"input":"', '"}')),
        ServiceCommand("fastapi", plain, quiet | {"MODEL": folder, "THREADS": threads}),
    ]


def _started(stage: Stage, stack: ExitStack, skipped: dict[str, str]) -> dict[str, LoadedService]:
    services = {OURS: stack.enter_context(stage.serve())}
    if not catalog.PYTHONS["peers"].exists():
        skipped["peers"] = "there is no .venv-peers; `make .venv-peers/ready` makes it"
        return services
    try:
        folder = stage.source or _find(stage)
    except WorkerError as error:
        skipped["peers"] = f"the original weights are missing: {error}"
        return services
    for command in commands(stage, folder):
        try:
            with progress.step(f"peers: start {command.name}"):
                services[command.name] = stack.enter_context(LoadedService(command))
        except WorkerError as error:
            skipped[command.name] = str(error)
    return services


def _find(stage: Stage) -> str:
    python = catalog.PYTHONS["build"]
    with Worker("source", python, ("bench.worker", "bench.origin"), {}) as worker:
        task = asdict(stage.subject.task(stage.precision))
        folder: str = worker.ask("prepare", _FIND_S, task=task)["folder"]
        return folder


def _measured(stage: Stage, caller: Caller, services: Mapping[str, LoadedService]) -> Rounds:
    pace = stage.pace
    rounds: Rounds = {name: [] for name in services}
    for number_ in range(pace.rounds):
        with progress.step(f"peers: round {number_ + 1} of {pace.rounds}"):
            for name, service in services.items():
                load = LoadScenario(MIXED, pace.seconds, pace.warm_s, clients=CLIENTS, dialect=service.dialect)
                rounds[name].append(caller.run(service, load))
    return rounds


def _speeds(rounds: Mapping[str, Sequence[Run]]) -> Table:
    times = ratios(rounds)
    rows = []
    for name, runs in rounds.items():
        rates = spread([run.loads[0].texts_per_s for run in runs])
        cpu = statistics.median(run.service_cpu_s / max(1, run.texts) for run in runs)
        figures = (number(value) for value in (rates.median, rates.low, rates.high))
        rows.append([name, *figures, number(cpu * 1e3, 2), number(times.get(name), 1)])
    header = ("service", "texts/s, median", "least", "greatest", "CPU ms a text", "ours is times as fast")
    return Table(f"{CLIENTS} clients, {len(rounds[OURS])} rounds in turns", header, rows)
