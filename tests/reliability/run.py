"""Run evidence, each piece in a process group of its own that ends in time, and gather what rows found."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.reliability import outcome
from tests.reliability.evidence import Evidence, Order, Sizes
from tests.reliability.outcome import NOT_RUN, Outcome
from tests.reliability.results import Result
from tests.reliability.row import Row
from tests.serving import ROOT

# What a command has to clean up once it is told to stop.
_GRACE_S = 20.0
# A test's own servers are given their settings; what the caller's shell has set must not reach them.
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "STS_PAIRS")


def run(
    rows: Sequence[Row], sizes: Sizes, seed: int, machine: str, keep: Callable[[Mapping[str, Result]], None]
) -> dict[str, Result]:
    """Run the rows in their order; `keep` gets all results so far after each. Evidence that rows share runs once."""
    shown: dict[Evidence, Outcome] = {}
    results: dict[str, Result] = {}
    for row in rows:
        started = time.monotonic()
        for evidence in row.evidence:
            if evidence not in shown:
                shown[evidence] = show(evidence, sizes, seed)
        found = outcome.together([shown[evidence] for evidence in row.evidence])
        seconds = round(time.monotonic() - started)
        results[row.id] = Result(found.verdict, found.figures, f"{sizes.name}, seed {seed}", machine, seconds)
        keep(results)
    return results


def show(evidence: Evidence, sizes: Sizes, seed: int) -> Outcome:
    """Run one piece of evidence; whatever goes wrong is its outcome."""
    with tempfile.TemporaryDirectory(prefix="reliability-", ignore_cleanup_errors=True) as folder:
        order = evidence.order(sizes, seed, Path(folder))
        if not Path(order.command[0]).exists():
            return Outcome(NOT_RUN, f"there is no {Path(order.command[0]).relative_to(ROOT)}: see `make help`")
        status, said = execute(order, folder)
        if status is None:
            return Outcome(outcome.BROKEN, f"not done after {order.bound_s / 60:g} minutes")
        found = outcome.read(order.results, status, said)
        if found.verdict == outcome.BROKEN:
            print(said[-8000:], flush=True)
        return found


def execute(order: Order, folder: str) -> tuple[int | None, str]:
    """Run a command to its end or to its bound: its exit status, None where it was ended, and what it printed."""
    environ = {name: os.environ[name] for name in _KEPT if name in os.environ} | {"TMPDIR": folder, **order.variables}
    with tempfile.TemporaryFile() as output:
        with subprocess.Popen(
            order.command,
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as process:
            status = _await(process, order.bound_s)
        output.seek(0)
        return status, output.read().decode("utf-8", "replace")


def _await(process: "subprocess.Popen[bytes]", bound_s: float) -> int | None:
    """Wait for a process; told to stop, it may clean up, and then its whole group is killed, as in every case."""
    try:
        return process.wait(bound_s)
    except subprocess.TimeoutExpired:
        for number in (signal.SIGINT, signal.SIGTERM):
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_S)
                break
        return None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
