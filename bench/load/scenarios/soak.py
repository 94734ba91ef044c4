"""Soak test at half the capacity: memory and file descriptors must not leak."""

import time
from dataclasses import asdict, dataclass

from bench import progress
from bench.load import usage
from bench.load.figures import Figures
from bench.load.finding import Finding, answers
from bench.load.load import LoadScenario
from bench.load.service import LoadedService
from bench.load.stage import MIXED, Stage
from bench.load.usage import Track
from bench.load.verdict import LoadVerdict, all_answered, flat_memory
from bench.table import Table, mega, number

SHARE = 0.5
# Warm-up until the allocator has seen every batch shape: share of the run, and its maximum.
_WARM, _MOST_WARM_S = 0.2, 3600.0
_CLOSE_S = 1.0


@dataclass(frozen=True)
class SoakMeasured:
    """The load, the samples after the warm-up, and the open files before and after, without connections."""

    load: Figures
    track: Track
    files_before: int
    files_after: int


def run(stage: Stage) -> Finding:
    """Run the load and sample the server."""
    seconds = stage.pace.soak_s
    with stage.serve() as service, stage.caller() as caller:
        rate = stage.rate(caller, service, "soak", SHARE)
        files_before = _files(service)
        warm_s = min(_WARM * seconds, _MOST_WARM_S)
        load = LoadScenario(MIXED, seconds - warm_s, warm_s, rate=rate)
        with progress.step(f"soak: {seconds / 60:g} minutes"), usage.watch(service.pid, load.warm_s, seconds) as track:
            figures = caller.run(service, load).loads[0]
        measured = SoakMeasured(figures, track, files_before, _files(service))
    title = f"{rate:,.0f} mixed texts a second for {seconds / 60:g} minutes"
    tables = [answers(title, {"soak": figures}), _resources(measured)]
    return Finding(judge(measured), tables, asdict(measured) | {"rate": rate})


def judge(measured: SoakMeasured) -> list[LoadVerdict]:
    """Judge memory, open files and responses."""
    return [
        flat_memory(measured.track.resident),
        LoadVerdict(
            "as many open files at the end as at the beginning, without connections",
            f"{measured.files_before} then, {measured.files_after} now",
            measured.files_after <= measured.files_before,
        ),
        all_answered([measured.load]),
    ]


def _files(service: LoadedService) -> int:
    """Return the server's open files after it had time to close its connections."""
    time.sleep(_CLOSE_S)
    return service.usage().files


def _resources(measured: SoakMeasured) -> Table:
    resident, files = measured.track.resident or [0], measured.track.files or [0]
    row = ["server", mega(resident[0]), mega(max(resident)), mega(resident[-1]), number(max(files))]
    header = ("", "MB at first", "MB at most", "MB at last", "files at most")
    return Table("Memory and open files after the warm-up", header, [row])
