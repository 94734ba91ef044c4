"""Rolling update behind nginx: the servers are restarted one after the other under load, and no request is lost."""

import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from server.settings import SETTINGS
from tests.serving import ROOT, Served, free_port, serve

CALLERS = 8
CONF = ROOT / "deploy" / "nginx.conf"


@contextmanager
def nginx(folder: Path, ports: list[int]) -> Iterator[str]:
    """Run nginx with the documented configuration in front of servers on `ports`; yield its URL."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is None:
        pytest.skip("nginx is not installed (apt-get install nginx-light)")
    port = free_port()
    wanted = {"8000": port, "8001": ports[0], "8002": ports[1]}
    text = re.sub(r"(listen |127\.0\.0\.1:)(800\d)", lambda m: f"{m[1]}{wanted[m[2]]}", CONF.read_text("utf-8"))
    text = text.replace("listen ", "listen 127.0.0.1:").replace("/run/nginx.pid", f"{folder}/nginx.pid")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"    {kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    conf = folder / "nginx.conf"
    conf.write_text(text.replace("http {\n", f"http {{\n{places}", 1), "utf-8")
    with subprocess.Popen([program, "-e", "stderr", "-c", str(conf), "-g", "daemon off;"]) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_answered(url)
            yield url
        finally:
            process.terminate()


def wait_until_answered(url: str) -> None:
    for _ in range(300):
        try:
            httpx.get(f"{url}/ready")
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"nothing answers at {url}")


@dataclass
class Load:
    """Load of CALLERS threads that send requests back to back, each on its own connection."""

    url: str
    answers: Counter[str] = field(default_factory=Counter)
    ended: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._call, args=(caller,)) for caller in range(CALLERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.ended.set()
            for thread in threads:
                thread.join()

    def wait_for(self, more: int) -> None:
        """Wait until `more` further requests have been answered."""
        wanted = self.answers.total() + more
        for _ in range(1200):
            if self.answers.total() >= wanted:
                return
            time.sleep(0.05)
        raise AssertionError(f"no answers any more: {self.answers}")

    def _call(self, caller: int) -> None:
        with httpx.Client(base_url=self.url, timeout=60) as client:
            number = 0
            while not self.ended.is_set():
                number += 1
                outcome = _outcome(client, f"caller {caller} sends text number {number} " + "and more words " * 20)
                with self.lock:
                    self.answers[outcome] += 1


def _outcome(client: httpx.Client, text: str) -> str:
    try:
        answer = client.post("/embed", json={"text": text})
    except httpx.TransportError as error:
        return type(error).__name__
    whole = answer.status_code == 200 and len(answer.json()["embedding"]) == 384
    return "whole" if whole else f"{answer.status_code} {answer.text[:200]}"


def stop(served: Served) -> None:
    """Stop a server as an orchestrator does, and check that it exits with status 0."""
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(60) == 0, served.lines


def test_a_rolling_update_loses_no_request(tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    with ExitStack() as servers:
        old = [servers.enter_context(serve(quantization="int8", threads=1, port=port)) for port in ports]
        with nginx(tmp_path, ports) as url:
            load = Load(url)
            with load.running():
                load.wait_for(50)
                for served, port in zip(old, ports, strict=True):
                    stop(served)
                    load.wait_for(50)
                    new = servers.enter_context(serve(quantization="int8", threads=1, port=port))
                    load.wait_for(50)
                    assert new.client.get("/ready").status_code == 200
    assert set(load.answers) == {"whole"}, load.answers


def test_nginx_follows_the_server_s_limits() -> None:
    values = dict(re.findall(r"^ *(\w+) (\d+)(?:s|m)?;", CONF.read_text("utf-8"), re.MULTILINE))
    defaults = {row.name: row.default for row in SETTINGS}
    assert values["client_max_body_size"] == defaults["MAX_BODY_BYTES"]
    assert float(values["proxy_read_timeout"]) > float(defaults["REQUEST_TIMEOUT_S"])
