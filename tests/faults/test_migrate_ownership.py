"""Concurrent migration processes with the same output file; for stores, see tests/migrate/stores/test_locks.py."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.faults.migration import WINDOW, finish, start, write_texts
from tests.faults.test_migrate_stopped import wait_for

COUNT = 600


@pytest.mark.parametrize("name", ["npy", "jsonl"])
def test_jobs_started_at_once_with_one_output_and_different_journals_one_writes_it(tmp_path: Path, name: str) -> None:
    source, output = write_texts(tmp_path / "texts.json", COUNT), tmp_path / f"out.{name}"
    jobs = [start(source, output, *WINDOW, "--journal", str(tmp_path / f"journal{number}")) for number in range(3)]
    ended = [finish(job) for job in jobs]
    assert sorted(status for status, _, _ in ended) == [0, 1, 1], ended
    for status, _, err in ended:
        assert status == 0 or "another job" in err or "not this job's" in err
    if name == "npy":
        assert len(np.load(output)) == len((tmp_path / "out.ids.jsonl").read_bytes().splitlines()) == COUNT
    else:
        rows = [json.loads(line) for line in output.read_bytes().splitlines()]
        assert [row["id"] for row in rows] == [f"id-{number}" for number in range(COUNT)]
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]


def test_a_restart_while_it_runs_is_refused_and_costs_nothing(tmp_path: Path) -> None:
    source, output = write_texts(tmp_path / "texts.json", COUNT), tmp_path / "out.npy"
    first = start(source, output, *WINDOW)
    try:
        wait_for(tmp_path / "out.npy.partial" / "vectors", first)
        first.send_signal(signal.SIGSTOP)
        status, _, err = finish(start(source, output, *WINDOW, "--restart"))
        assert (status, f"running already, as process {first.pid}" in err) == (1, True), err
        other = ("--restart", "--journal", str(tmp_path / "other"))
        status, _, err = finish(start(source, output, *WINDOW, *other))
        assert (status, "is being made by another job" in err) == (1, True), err
    finally:
        first.send_signal(signal.SIGCONT)
        assert finish(first)[0] == 0
    assert len(np.load(output)) == COUNT


def test_the_lock_of_a_dead_process_whose_number_another_has_is_nobody_s(tmp_path: Path) -> None:
    source, output = write_texts(tmp_path / "texts.json", COUNT), tmp_path / "out.npy"
    first = start(source, output, *WINDOW)
    wait_for(tmp_path / "out.npy.partial" / "vectors", first)
    first.kill()
    finish(first)
    for folder in ("out.npy.migrate", "out.npy.partial"):
        (tmp_path / folder / "lock").write_text(f"{os.getpid()}\n")
    status, _, err = finish(start(source, output, *WINDOW))
    assert status == 0, err
