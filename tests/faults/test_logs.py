"""The server keeps working when logs cannot be written: full disk, broken or unread pipe, no standard streams."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.faults.test_stop import HANGING
from tests.raw import Raw
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


@contextmanager
def unread(program: list[str], **settings: object) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run a server whose stdout and stderr are a full pipe without a reader; yield the process and its URL."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"." * 4096)
    os.set_blocking(writer, True)
    port = free_port()
    python = str(RUNTIME if RUNTIME.is_file() else sys.executable)
    asked = environment(**{"quantization": "int8", "port": port} | settings)
    with subprocess.Popen([python, *program], cwd=ROOT, env=asked, stdout=writer, stderr=writer) as process:
        try:
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            os.close(reader)
            os.close(writer)


def test_a_log_that_nobody_reads_stops_neither_serving_nor_the_end() -> None:
    with unread(["-m", "server"], log_level="debug") as (process, url):
        assert started(process, url)
        with Raw(httpx.URL(url)) as caller:
            for _ in range(50):  # In total more lines than the log queue holds.
                caller.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
                assert [answer.status for _ in range(50) if (answer := caller.answer())] == [200] * 50
        assert httpx.post(f"{url}/embed", json={"text": "a"}).status_code == 200
        counted = httpx.get(f"{url}/metrics").text
        assert re.search(r"^embedding_log_lines_lost_total [1-9]", counted, re.MULTILINE)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_watchdog_ends_a_process_whose_log_nobody_reads() -> None:
    with unread(["-c", HANGING], request_timeout_s=1) as (process, url):
        assert started(process, url)
        assert httpx.post(f"{url}/embed", json={"text": "a"}).status_code == 504
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 4


def test_a_start_that_is_refused_ends_where_nobody_reads_why() -> None:
    with unread(["-m", "server"], model="none-of-that-name") as (process, _):
        assert process.wait(20) == 3


def test_lines_that_were_lost_are_told_once_the_log_is_read() -> None:
    program = (
        "import logging, sys, time\n"
        "from server.system import log_writer as lines; from server.telemetry import logs\n"
        "logs.configure('text', 'info')\n"
        "for number in range(lines.MAX_QUEUED + 500): logging.info('x' * 200)\n"
        "lost = logs.lost_lines()\n"
        "print('logged', flush=True)\n"
        "while logging.getLogger().handlers[0].queue.qsize(): time.sleep(0.01)\n"
        "logging.info('the last line of %d', lost)\n"
    )
    python = str(RUNTIME if RUNTIME.is_file() else sys.executable)
    with subprocess.Popen([python, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == b"logged\n"  # although nothing has read stderr
        said = process.stderr.read().decode().splitlines()
        assert process.wait(20) == 0
    (lost,) = (int(line.rpartition(" ")[2]) for line in said if "the last line of" in line)
    assert 0 < lost <= 500
    assert sum(line.endswith("x" * 200) for line in said) == 2_500 - lost
    # A slow reader gets several reports, each of the lines lost since the one before.
    assert sum(int(told) for told in re.findall(r"(\d+) log lines were lost", "\n".join(said))) == lost


def test_a_start_that_is_refused_keeps_its_status_where_nobody_can_read_why() -> None:
    status, _ = refused(port="x")
    python = str(RUNTIME if RUNTIME.is_file() else sys.executable)
    command = [python, "-m", "server"]
    done = subprocess.run(command, cwd=ROOT, env=environment(port="x"), preexec_fn=full_disk, check=False)
    assert done.returncode == status == 3
