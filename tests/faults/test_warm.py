"""No connection is accepted before the engine is warm, so that every accepted request is answered at once."""

import socket
import time
from pathlib import Path

import httpx

from tests.serving import free_port, start

PROGRAM = """
import pathlib, time
from server import __main__ as cli
from server.service import startup

def slowly(*arguments):
    time.sleep(1.5)
    warmed = warm(*arguments)
    pathlib.Path({file!r}).touch()
    return warmed

warm, startup.warm = startup.warm, slowly
raise SystemExit(cli.main([]))
"""


def test_no_connection_is_accepted_before_the_warm_up_has_ended(tmp_path: Path) -> None:
    file, port = tmp_path / "warm", free_port()
    with start("-c", PROGRAM.format(file=str(file)), quantization="int8", port=port) as process:
        try:
            refusals = 0
            while not accepts(port):
                assert process.poll() is None
                refusals += 1
                time.sleep(0.01)
            assert file.exists()
            assert refusals > 10
            assert httpx.post(f"http://127.0.0.1:{port}/embed", json={"text": "a"}).status_code == 200
        finally:
            process.kill()


def accepts(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0
