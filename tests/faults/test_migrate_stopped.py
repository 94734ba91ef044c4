"""Real migration processes that run out of disk space, are interrupted or started twice; kills: tests/migrate."""

import resource
import signal
import subprocess
import time
from pathlib import Path

from tests.faults.migration import WINDOW, files, finish, start, whole, write_texts


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until the job has created `path`."""
    for _ in range(600):
        if path.exists():
            return
        assert process.poll() is None
        time.sleep(0.1)
    raise AssertionError(f"no {path}")


def test_two_runs_of_one_job_the_second_is_refused(tmp_path: Path) -> None:
    source, output = write_texts(tmp_path / "texts.json", 2000), tmp_path / "out.npy"
    first = start(source, output, *WINDOW)
    try:
        wait_for(tmp_path / "out.npy.migrate" / "journal", first)
        status, _, err = finish(start(source, output, *WINDOW))
        assert status == 1
        assert f"running already, as process {first.pid}" in err
    finally:
        assert finish(first)[0] == 0


def test_a_limit_on_disk_space_stops_it_with_the_reason_and_lifted_it_goes_on(tmp_path: Path) -> None:
    source = write_texts(tmp_path / "texts.json", 400)
    expected = whole(source, tmp_path / "whole" / "out.npy")
    (tmp_path / "full").mkdir()
    process = start(source, tmp_path / "full" / "out.npy", *WINDOW)
    # 400 vectors of 384 components are 614 KB.
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (300_000, 300_000))
    status, _, err = finish(process)
    assert status == 1
    assert "Nothing is lost" in err
    status, _, err = finish(start(source, tmp_path / "full" / "out.npy", *WINDOW))
    assert (status, files(tmp_path / "full")) == (0, expected), err


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    source = write_texts(tmp_path / "texts.json", 10)
    status, _, err = finish(start(source, Path("/proc/out.npy")))
    assert status == 1
    assert "/proc/out.npy" in err


def test_an_interrupt_from_the_keyboard_says_how_to_go_on(tmp_path: Path) -> None:
    source, output = write_texts(tmp_path / "texts.json", 2000), tmp_path / "out.npy"
    process = start(source, output, *WINDOW)
    wait_for(tmp_path / "out.npy.partial", process)
    process.send_signal(signal.SIGINT)
    status, _, err = finish(process)
    assert (status, "interrupted. Nothing is lost" in err) == (130, True), err
    assert finish(start(source, output, *WINDOW))[0] == 0
