"""Runs each piece of evidence in its own process group with a timeout, and collects the rows' results."""

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

# Time that a command has to clean up after SIGINT or SIGTERM.
_GRACE_S = 20.0
# The only variables passed on: servers started by tests must not inherit settings from the caller's shell.
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "STS_PAIRS")


def run(
    rows: Sequence[Row], sizes: Sizes, seed: int, machine: str, keep: Callable[[Mapping[str, Result]], None]
) -> dict[str, Result]:
    """Run the rows in order, calling `keep` with all results so far after each. Shared evidence runs only once."""
    shown: dict[Evidence, Outcome] = {}
    results: dict[str, Result] = {}
    for row in rows:
        started = time.monotonic()
        for evidence in row.evidence:
            if evidence not in shown:
                shown[evidence] = show(evidence, sizes, seed)
        combined = outcome.together([shown[evidence] for evidence in row.evidence])
        seconds = round(time.monotonic() - started)
        results[row.id] = Result(combined.verdict, combined.figures, f"{sizes.name}, seed {seed}", machine, seconds)
        keep(results)
    return results


def show(evidence: Evidence, sizes: Sizes, seed: int) -> Outcome:
    """Run one piece of evidence; failures are reported as its outcome."""
    with tempfile.TemporaryDirectory(prefix="reliability-", ignore_cleanup_errors=True) as folder:
        order = evidence.order(sizes, seed, Path(folder))
        if not Path(order.command[0]).exists():
            return Outcome(NOT_RUN, f"there is no {Path(order.command[0]).relative_to(ROOT)}: see `make help`")
        status, said = execute(order, folder)
        if status is None:
            return Outcome(outcome.BROKEN, f"not done after {order.bound_s / 60:g} minutes")
        judged = outcome.read(order.results, status, said)
        if judged.verdict == outcome.BROKEN:
            print(said[-8000:], flush=True)
        return judged


def execute(order: Order, folder: str) -> tuple[int | None, str]:
    """Run a command, at most until its timeout; return its exit status, None after a timeout, and its output."""
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
    """Wait for a process; after the timeout, ask it to stop. In any case, kill its process group at the end."""
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
