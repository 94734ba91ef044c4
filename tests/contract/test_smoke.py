"""`make smoke`: the exit status tells whether a running server returns sensible vectors."""

import subprocess
import sys

from tests.serving import ROOT, Served


def smoke(url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "server.smoke", url]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_a_good_server_passes(int8: Served) -> None:
    done = smoke(int8.url)
    assert done.returncode == 0, done.stdout
    for word in ("dimension", "384", "norm", "ms"):
        assert word in done.stdout


def test_nobody_there_is_one_clear_line() -> None:
    done = smoke("http://127.0.0.1:9")
    assert done.returncode == 1
    assert len(done.stdout.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr
