"""`python -m bench`: compare variants and output types, race them, load a server, time a migration, plan servers."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from bench import capacity, fidelity, host, migration, outputs, race, scaling, workloads
from bench.catalog import PEERS
from bench.compare import compare
from bench.gpu import run as gpu
from bench.load import report, stage
from bench.load.stage import Stage
from bench.process import WorkerError
from bench.progress import say, step
from bench.ranking import REFERENCE
from bench.rounds import RoundPace
from bench.subject import BenchSubject, open_subject
from bench.table import Table
from build import output, texts
from build.errors import BuildError
from server.errors import StartError
from server.system.machine import inference_threads

DEFAULT_MODEL = "bge-large-en-v1.5"


class CommandReport(Protocol):
    """The result of a command."""

    skipped: dict[str, str]
    host: dict[str, object]

    def heading(self) -> str:
        """Name the model and the machine."""
        ...

    def tables(self) -> list[Table]:
        """Return the figures as tables."""
        ...

    def json(self) -> dict[str, object]:
        """Return all figures, raw samples included."""
        ...


def parser() -> argparse.ArgumentParser:
    """Return the argument parser; the model's defaults come from environment variables, which `make` sets."""
    out = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = out.add_subparsers(
        required=True, dest="command", metavar="compare|run|load|migrate|outputs|gpu|capacity"
    )
    comparing = commands.add_parser("compare", help="size, memory, speed and fidelity of every variant of a model")
    comparing.add_argument("--pairs", type=Path, help="CSV of sentence, sentence, score: adds rank correlations")
    comparing.add_argument("--texts", type=Path, default=texts.OWN, help="texts for fidelity (.jsonl or lines)")
    comparing.add_argument("--chart", type=Path, help="write speed against fidelity as SVG")
    racing = commands.add_parser("run", help="speed of every variant beside the plain export and the peers")
    racing.add_argument("--contenders", type=_names, default=(), help=f"ours and {','.join(e.name for e in PEERS)}")
    racing.add_argument("--workloads", type=_workloads, default=workloads.NAMES, help=",".join(workloads.NAMES))
    racing.add_argument("--against", default=REFERENCE, help=f"the contender that speeds are set against ({REFERENCE})")
    racing.add_argument("--seconds", type=float, default=8.0, help="no further turn in a workload after this long")
    racing.add_argument("--source", default="", help="folder of the original weights, if the build did not keep them")
    racing.add_argument("--charts", type=Path, help="folder for one SVG for each workload")
    racing.add_argument("--scaling", action="store_true", help="instead: what each number of streams gives here")
    racing.add_argument("--quantization", default=os.environ.get("QUANTIZATION") or "int8", help="of --scaling")
    device = commands.add_parser("gpu", help="one variant on a GPU: fidelity, speed, HTTP, beside torch and the limit")
    device.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu only shows that it works")
    device.add_argument("--precision", default=os.environ.get("QUANTIZATION") or "fp16", help="what is measured there")
    device.add_argument("--seconds", type=float, default=10.0, help="seconds of each load on the server")
    device.add_argument("--texts", type=Path, default=texts.OWN, help="texts for fidelity (.jsonl or lines)")
    device.add_argument("--source", default="", help="folder of the original weights, if the build did not keep them")
    device.add_argument("--chart", type=Path, help="write the speeds as SVG")
    capacity.add_arguments(commands.add_parser("capacity", help="servers for a traffic and hours for a corpus"))
    migrating = commands.add_parser("migrate", help="a migration's speed beside the engine's own, in turns")
    migrating.add_argument("--quantization", default=os.environ.get("QUANTIZATION") or "int8", help="the precision")
    migrating.add_argument("--texts", type=_positive, default=4096, help="texts of mixed length in one turn (4096)")
    encoding = commands.add_parser("outputs", help="what each output type keeps of float32's neighbours")
    encoding.add_argument("--quantization", default=os.environ.get("QUANTIZATION") or "fp32", help="the precision")
    encoding.add_argument("--pairs", type=Path, help="CSV of sentence, sentence, score: adds rank correlations")
    encoding.add_argument("--texts", type=Path, default=texts.OWN, help="a corpus (.jsonl or lines)")
    for command, turns in (
        (encoding, None),
        (comparing, 5),
        (racing, 4),
        (migrating, 5),
        (device, 5),
        (_add_load(commands), None),
    ):
        _add_common(command, turns)
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report. Returns the exit status: 0 success, 1 bad request or no result, 130 interrupted."""
    given = parser().parse_args(arguments)
    # Raise KeyboardInterrupt on SIGTERM too, so that context managers stop the workers.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if given.command == "capacity":
            return _plan(given)
        subject = open_subject(given.models_dir, given.model, inference_threads(given.threads).count)
        work = {
            "compare": _compare,
            "run": _run,
            "load": _load,
            "migrate": _migrate,
            "outputs": _outputs,
            "gpu": _gpu,
        }[given.command]
        return work(given, subject)
    except (StartError, BuildError, WorkerError, output.OutputError, ValueError, OSError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("stopped; nothing was written")
        return 130


def _compare(given: argparse.Namespace, subject: BenchSubject) -> int:
    pairs = fidelity.read_pairs(given.pairs) if given.pairs else None
    comparison = compare(subject, given.rounds, texts.read(given.texts).items, pairs)
    if given.chart and comparison.variants and comparison.workloads:
        _write(given.chart, comparison.chart())
    return _report(given, comparison, len(comparison.variants))


def _run(given: argparse.Namespace, subject: BenchSubject) -> int:
    if given.scaling:
        _check_precision(given, subject)
        curve = scaling.measure(subject, given.quantization)
        return _report(given, curve, len(curve.trials))
    race.contenders(subject, (given.against,))  # reject an unknown name before measuring
    entries = race.contenders(subject, given.contenders)
    chosen = subject.workloads(given.workloads)
    if left_out := sorted(set(given.workloads) - {workload.name for workload in chosen}):
        say(f"left out: {', '.join(left_out)}; the model reads at most {subject.manifest.max_tokens} tokens")
    if not chosen:
        raise ValueError(f"the model reads at most {subject.manifest.max_tokens} tokens: no workload is short enough")
    ranking = race.run(subject, entries, chosen, RoundPace(given.rounds, given.seconds), given.source)
    ranking.against = given.against
    if given.charts and ranking.standings:
        for name, drawn in ranking.charts().items():
            _write(given.charts / f"{name}.svg", drawn)
    return _report(given, ranking, len(ranking.standings))


def _load(given: argparse.Namespace, subject: BenchSubject) -> int:
    _check_precision(given, subject)
    pace = stage.SHORT if given.short else stage.FULL
    pace = replace(pace, rounds=given.rounds or pace.rounds)
    if given.minutes:
        pace = replace(pace, **dict.fromkeys(stage.LONG_ONES, 60.0 * given.minutes))
    results = report.run(Stage(subject, given.quantization, pace, given.source), given.scenarios)
    return _report(given, results, len(results.findings))


def _gpu(given: argparse.Namespace, subject: BenchSubject) -> int:
    if given.precision not in subject.precisions and f"{given.precision}-cuda" not in subject.manifest.variants:
        raise ValueError(f"{given.model} is built in {', '.join(subject.manifest.variants)}, not in {given.precision}")
    plan = gpu.GpuPlan(given.device, given.precision, given.rounds, given.seconds, given.source)
    results = gpu.run(subject, plan, texts.read(given.texts).items)
    if given.chart:
        _write(given.chart, results.chart())
    return _report(given, results, len(results.loads)) or int(not results.sound())


def _migrate(given: argparse.Namespace, subject: BenchSubject) -> int:
    _check_precision(given, subject)
    with step("a migration and the engine alone, in turns") as show:
        comparison = migration.compare(subject, given.quantization, given.texts, given.rounds, show)
    return _report(given, comparison, len(comparison.turns))


def _outputs(given: argparse.Namespace, subject: BenchSubject) -> int:
    _check_precision(given, subject)
    pairs = fidelity.read_pairs(given.pairs) if given.pairs else None
    measured = outputs.measure(subject, given.quantization, texts.read(given.texts).items, pairs)
    return _report(given, measured, len(measured.kept))


def _check_precision(given: argparse.Namespace, subject: BenchSubject) -> None:
    if given.quantization not in subject.precisions:
        raise ValueError(f"{given.model} is built in {', '.join(subject.precisions)}, not in {given.quantization}")


def _plan(given: argparse.Namespace) -> int:
    answer = capacity.plan(given)
    if given.charts:
        for name, drawn in answer.charts().items():
            _write(given.charts / f"{name}.svg", drawn)
    return _show(given, answer)


def _report(given: argparse.Namespace, results: CommandReport, finished: int) -> int:
    for name, why in results.skipped.items():
        say(f"skipped {name}: {why.removeprefix(f'{name}: ')}")
    if not finished:
        say("error: nothing could be measured")
        return 1
    if host.busy(results.host):
        say(f"note: others were at work here (load {results.host['load_average']}); expect noise, trust only ratios")
    return _show(given, results)


def _show(given: argparse.Namespace, results: CommandReport | capacity.CapacityPlan) -> int:
    tables = [table.markdown() if given.markdown else table.text() for table in results.tables()]
    print("\n\n".join([results.heading(), *tables]))
    if given.json:
        _write(given.json, json.dumps(results.json(), indent=1) + "\n")
    return 0


def _write(path: Path, text: str) -> None:
    output.write(path, text)
    say(f"wrote {path}")


def _add_load(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    out = commands.add_parser("load", help="what a running server holds: beside the engine, peers, under overload ...")
    out.add_argument("--scenarios", type=_scenarios, default=report.NAMES, help=",".join(report.NAMES))
    out.add_argument("--quantization", default=os.environ.get("QUANTIZATION") or "int8", help="the served precision")
    out.add_argument("--short", action="store_true", help="seconds instead of minutes: shows that it works")
    out.add_argument("--minutes", type=float, help="of the load in steady, overload and soak (5, 5 and 10)")
    out.add_argument("--source", default="", help="folder of the original weights for the peers, if not kept")
    return out


def _add_common(command: argparse.ArgumentParser, turns: int | None) -> None:
    command.add_argument("--model", default=os.environ.get("MODEL") or DEFAULT_MODEL, help="a built model's name")
    command.add_argument("--models-dir", type=Path, default=Path(os.environ.get("MODELS_DIR") or "models"))
    command.add_argument(
        "--rounds", type=_positive, default=turns, help=f"turns of each ({turns or stage.FULL.rounds})"
    )
    command.add_argument("--threads", type=_positive, help="threads of each contender (default: as the server)")
    command.add_argument("--json", type=Path, help="write every figure, raw ones included")
    command.add_argument("--markdown", action="store_true", help="print markdown tables")


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _workloads(value: str) -> tuple[str, ...]:
    return _chosen(value, workloads.NAMES)


def _scenarios(value: str) -> tuple[str, ...]:
    return _chosen(value, report.NAMES)


def _chosen(value: str, known: Sequence[str]) -> tuple[str, ...]:
    chosen = _names(value)
    if not chosen or set(chosen) - set(known):
        raise argparse.ArgumentTypeError(f"{value!r}: choose from {', '.join(known)}")
    return chosen


def _positive(value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"{value!r}: a whole number of at least 1")
    return int(value)


if __name__ == "__main__":
    sys.exit(main())
