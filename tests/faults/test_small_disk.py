"""A full disk for the log and temporary files: the server keeps serving, and stops cleanly."""

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults.test_logs import free_port, started
from tests.serving import ROOT, RUNTIME, environment

BYTES = 65_536


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={BYTES}", "tmpfs", str(place)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"mounting a file system takes root: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_that_fills_up_stops_nothing(disk: Path, chance: random.Random) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    (disk / "other").write_bytes(b"x" * chance.randrange(BYTES // 2))
    settings = environment(quantization="int8", port=port, log_level="debug", tmpdir=disk, home=disk)
    python = str(RUNTIME if RUNTIME.is_file() else sys.executable)
    with (disk / "log").open("wb") as log:
        process = subprocess.Popen([python, "-m", "server"], cwd=ROOT, env=settings, stdout=log, stderr=log)
    try:
        assert started(process, url)
        fill(disk / "rest")
        with httpx.Client(base_url=url, timeout=30) as client:
            for number in range(50):
                assert client.post("/embed", json={"text": f"text {number}"}).status_code == 200
                assert client.post("/embed", content=b"{").status_code == 400
            assert client.get("/ready").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as rest:
        try:
            while rest.write(b"x" * 512):
                pass
        except OSError:
            return
