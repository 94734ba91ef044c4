"""Logs that cannot be written stop nothing: a full disk, a pipe that nobody reads any more, no standard streams."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.serving import ROOT, RUNTIME, environment, refused


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def started(process: subprocess.Popen[bytes], url: str) -> bool:
    for _ in range(300):
        try:
            return httpx.get(f"{url}/ready").status_code == 200
        except httpx.TransportError:
            assert process.poll() is None, f"ended with status {process.returncode}"
            time.sleep(0.1)
    return False


def full_disk() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, 1)
    os.dup2(full, 2)


def broken_pipe() -> None:
    reader, writer = os.pipe()
    os.dup2(writer, 2)
    os.close(writer)
    os.close(reader)


def no_streams() -> None:
    os.closerange(0, 3)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="stands in for a full disk")
@pytest.mark.parametrize("ruin", [full_disk, broken_pipe, no_streams])
def test_serving_goes_on_and_stopping_is_clean(ruin: Callable[[], None]) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    python = str(RUNTIME if RUNTIME.is_file() else sys.executable)
    settings = environment(quantization="int8", port=port, log_level="debug")
    with subprocess.Popen([python, "-m", "server"], cwd=ROOT, env=settings, preexec_fn=ruin) as process:  # noqa: PLW1509
        try:
            assert started(process, url)
            for _ in range(20):
                assert httpx.post(f"{url}/embed", json={"text": "a"}).status_code == 200
                assert httpx.post(f"{url}/embed", content=b"{").status_code == 400
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()


def test_a_start_that_is_refused_keeps_its_status_where_nobody_can_read_why() -> None:
    status, _ = refused(port="x")
    python = str(RUNTIME if RUNTIME.is_file() else sys.executable)
    command = [python, "-m", "server"]
    done = subprocess.run(command, cwd=ROOT, env=environment(port="x"), preexec_fn=full_disk, check=False)
    assert done.returncode == status == 3
