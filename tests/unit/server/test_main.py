import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from server import __main__ as cli
from server.settings import SETTINGS

ROOT = Path(cli.__file__).parents[1]


@pytest.fixture(autouse=True)
def _restored_signals() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_help_lists_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"\n{setting.name}={setting.default}" in shown for setting in SETTINGS)


def test_every_wrong_setting_is_a_line_and_the_status_is_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([], {"PORT": "x", "THREADS": "0"}) == 3
    assert [line.split("=")[0] for line in capsys.readouterr().err.splitlines()] == [
        "cannot start: PORT",
        "cannot start: THREADS",
    ]


def test_no_complaint_about_the_command_line_shows_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--api-key", "hunter2-hunter2", "--otel=http://user:hidden-word@collector"])
    shown = capsys.readouterr().err
    assert "--api-key" in shown
    assert "hunter2" not in shown
    assert "hidden" not in shown


def test_a_port_in_use_is_refused_at_once_by_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.main([], {"HOST": "127.0.0.1", "PORT": str(port), "MODELS_DIR": str(tmp_path)}) == 3
    assert f"PORT={port}: cannot listen there: Address already in use" in capsys.readouterr().err


def test_a_model_that_is_not_there_ends_the_start(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main([], {"HOST": "127.0.0.1", "PORT": "0", "MODELS_DIR": str(tmp_path)}) == 3
    assert "make build-models MODEL=bge-large-en-v1.5" in capsys.readouterr().err


def test_it_serves_what_it_says_and_ends_with_0_when_told_to(models_dir: Path) -> None:
    environ = {"MODEL": "tiny", "MODELS_DIR": str(models_dir), "HOST": "127.0.0.1", "PORT": "0"}
    environ |= {"API_KEY": "hunter2", "LOG_FORMAT": "json", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "server"]
    with subprocess.Popen(command, env=os.environ | environ, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            lines = list(read_until_ready(process))
            port = re.findall(r"port (\d+)", lines[-1])[0]
            headers = {"authorization": "Bearer hunter2"}
            answer = httpx.post(f"http://127.0.0.1:{port}/embed", json={"text": "a"}, headers=headers)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
    assert answer.status_code == 200
    assert any("threads" in line for line in lines)
    assert not any("hunter2" in line for line in lines)


def read_until_ready(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stderr
    for line in process.stderr:
        message = json.loads(line)["message"]
        yield message
        if message.startswith("ready"):
            return
