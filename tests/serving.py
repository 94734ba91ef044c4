"""Runs a real server in a subprocess, on a free port, in the runtime environment."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[1]
RUNTIME = ROOT / ".venv" / "bin" / "python"
MODELS = ROOT / "models"
MINILM = "all-MiniLM-L6-v2"
_SAMPLE = re.compile(r"^([^#\s]\S*) (\S+)$", re.MULTILINE)
_READY = re.compile(r"listening on \S+ port (\d+)")


@dataclass
class Served:
    """A running server: its process, a client, and the lines it printed."""

    process: subprocess.Popen[str]
    client: httpx.Client
    lines: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The base URL."""
        return str(self.client.base_url)

    def embed(self, texts: list[str], **options: object) -> list[list[float]]:
        """Embed `texts` through `/embed`."""
        answer = self.client.post("/embed", json={"texts": texts, **options})
        assert answer.status_code == 200, answer.text
        rows: list[list[float]] = answer.json()["embeddings"]
        return rows

    def metrics(self) -> dict[str, float]:
        """Scrape `/metrics`; return values by series."""
        text = self.client.get("/metrics").text
        return {name: float(value) for name, value in _SAMPLE.findall(text)}

    def shows(self, **wanted: float) -> bool:
        """Wait until metrics reach these values, or drop to 0 where 0 is wanted; return False after 30 s."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            series = self.metrics()
            if all(series[name] >= value if value else not series[name] for name, value in wanted.items()):
                return True
            time.sleep(0.1)
        return False


def environment(**settings: object) -> dict[str, str]:
    """Return environment variables with these settings and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.isupper() or name in ("PATH", "HOME", "LANG")}
    asked = {name.upper(): str(value) for name, value in settings.items()}
    return kept | {"HOST": "127.0.0.1", "PORT": "0", "MODELS_DIR": str(MODELS), "MODEL": MINILM} | asked


def start(*program: str, python: object = None, **settings: object) -> subprocess.Popen[str]:
    """Start a server, or the given Python program, with `python` or else in the runtime environment.

    Standard error is redirected to standard output.
    """
    runtime = RUNTIME if RUNTIME.is_file() else Path(sys.executable)
    return subprocess.Popen(
        [str(python or runtime), *(program or ("-m", "server"))],
        cwd=ROOT,
        env=environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def serve(*program: str, python: object = None, **settings: object) -> Iterator[Served]:
    """Run a server, or the given program, during the block, then stop it with SIGTERM."""
    with start(*program, python=python, **settings) as process:
        served = Served(process, httpx.Client(timeout=120))
        try:
            served.client.base_url = httpx.URL(f"http://127.0.0.1:{_wait_for_port(served)}")
            drain = threading.Thread(target=_keep_reading, args=(served,), daemon=True)
            drain.start()
            yield served
        finally:
            served.client.close()
            process.terminate()
            try:
                process.wait(30)
            finally:
                process.kill()


def free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def refused(**settings: object) -> tuple[int, str]:
    """Start a server that must refuse to start; return its exit status and output."""
    with start(**settings) as process:
        try:
            said, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode, said


def _wait_for_port(served: Served) -> int:
    assert served.process.stdout is not None
    for line in served.process.stdout:
        served.lines.append(line.rstrip("\n"))
        if match := _READY.search(line):
            return int(match[1])
    raise AssertionError("the server did not start:\n" + "\n".join(served.lines))


def _keep_reading(served: Served) -> None:
    assert served.process.stdout is not None
    served.lines.extend(line.rstrip("\n") for line in served.process.stdout)
