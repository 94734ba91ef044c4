"""The worker protocol, with real processes and a fake contender."""

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.process import Worker, WorkerError
from tests.unit.bench import fake

pytestmark = pytest.mark.whole

LIMIT_S = 60.0
Start = Callable[..., Worker]


def gone(worker: Worker) -> bool:
    return worker._process.poll() is not None


def test_an_unknown_operation_is_an_error(start: Start) -> None:
    with pytest.raises(WorkerError, match="fake: `dance` failed: KeyError"):
        start().ask("dance", LIMIT_S)


def test_a_worker_loads_runs_and_embeds(start: Start, task: dict[str, Any]) -> None:
    worker = start()
    loaded = worker.ask("load", LIMIT_S, task=task)
    assert loaded["notes"] == {"kind": "fake"}
    assert loaded["versions"] == {"numpy": np.__version__}
    assert loaded["peak"] >= loaded["resident"] > 1_000_000
    assert loaded["seconds"] >= 0
    ran = worker.ask("run", LIMIT_S, sequences=[[7, 8]], seconds=60.0, most=3)
    assert len(ran["seconds"]) == 3
    answer = worker.ask("embed", LIMIT_S, sequences=[[7, 8], [9]])
    assert answer["shape"] == [2, 2]
    assert np.frombuffer(base64.b64decode(answer["vectors"]), np.float32).tolist() == [2, 7, 1, 9]
    assert worker.ask("memory", LIMIT_S)["resident"] > 0


def test_what_was_prepared_is_answered(start: Start, task: dict[str, Any]) -> None:
    assert start().ask("prepare", LIMIT_S, task=task) == {"folder": f"{task['cache']}/made"}


def test_a_contender_that_raises_is_quoted_and_lives_on(start: Start, task: dict[str, Any]) -> None:
    worker = start()
    with pytest.raises(WorkerError, match="fake: `load` failed: OSError: the file is damaged"):
        worker.ask("load", LIMIT_S, task=task | {"precision": "broken"})
    with pytest.raises(WorkerError, match="RuntimeError: nothing is loaded yet"):
        worker.ask("run", LIMIT_S, sequences=[[1]], seconds=0.0, most=1)
    worker.ask("load", LIMIT_S, task=task)
    with pytest.raises(WorkerError, match="ValueError: no such token"):
        worker.ask("run", LIMIT_S, sequences=[[fake.RAISE]], seconds=0.0, most=1)
    assert worker.ask("run", LIMIT_S, sequences=[[1]], seconds=0.0, most=1)["seconds"]


def test_a_module_that_cannot_be_imported_is_named(start: Start, task: dict[str, Any]) -> None:
    with pytest.raises(WorkerError, match=r"ModuleNotFoundError: No module named 'bench\.contenders\.nobody'"):
        start("nobody", "bench.contenders.nobody").ask("load", LIMIT_S, task=task)


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (fake.DIE, r"fake: was killed \(out of memory\?\)"),
        (fake.END, "fake: ended with status 3; its last line: the library gave up"),
    ],
)
def test_a_worker_that_dies_is_told_from_one_that_fails(
    start: Start, task: dict[str, Any], command: int, complaint: str
) -> None:
    worker = start()
    worker.ask("load", LIMIT_S, task=task)
    with pytest.raises(WorkerError, match=complaint):
        worker.ask("run", LIMIT_S, sequences=[[command]], seconds=0.0, most=1)
    assert gone(worker)
    with pytest.raises(WorkerError, match="fake: "):
        worker.ask("memory", LIMIT_S)


def test_a_worker_that_hangs_is_killed(start: Start, task: dict[str, Any]) -> None:
    worker = start()
    worker.ask("load", LIMIT_S, task=task)
    with pytest.raises(WorkerError, match=r"fake: `run` took longer than 0\.2 s and was killed"):
        worker.ask("run", 0.2, sequences=[[fake.HANG]], seconds=0.0, most=1)
    assert gone(worker)


def test_a_busy_worker_ends_with_its_parents_interest(start: Start, task: dict[str, Any]) -> None:
    worker = start()
    worker.ask("load", LIMIT_S, task=task)
    worker._send({"op": "run", "sequences": [[fake.HANG]], "seconds": 0.0, "most": 1})
    worker.close()
    assert gone(worker)
    with pytest.raises(ProcessLookupError):
        os.kill(worker._process.pid, 0)
    worker.close()


def test_a_quiet_worker_settles(start: Start, task: dict[str, Any]) -> None:
    worker = start()
    worker.ask("load", LIMIT_S, task=task)
    worker.settle()
    assert not gone(worker)


def test_a_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"peer: .*python cannot be started: No such file"):
        Worker("peer", tmp_path / "python", ("bench.worker", "bench.contenders.peak"), {})
