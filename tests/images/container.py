"""A container as an orchestrator would run it: root file system read-only, a network that reaches nobody."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.images.storage import Storage

# /run is where buildah keeps marks of its own while a command runs.
_ISOLATE = """
set -e
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount -t tmpfs -o size=1m,mode=755 tmpfs "$1/run"
mount -t tmpfs -o size=64m tmpfs "$1/tmp"
ip link set lo up
echo isolated
exec cat
"""
# http.client and not a proxy; the status and the body as one line.
_ASK = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=60)
connection.request(sys.argv[1], sys.argv[2], sys.argv[3] or None, {"Content-Type": "application/json"})
answer = connection.getresponse()
print(answer.status, answer.read().decode())
"""


@dataclass
class Container:
    """One container; `root` is its file system as seen from outside."""

    storage: Storage
    name: str
    root: Path
    holder: int
    models: Path | None

    @contextmanager
    def start(self, *command: str, user: str = "", **environment: str) -> Iterator[subprocess.Popen[str]]:
        """Run a command in it until the block ends, as the image's own user unless another is given."""
        options = [f"--env={name}={value}" for name, value in environment.items()]
        options += [f"--user={user}"] if user else []
        options += [f"--volume={self.models}:/models:ro"] if self.models else []
        inside = ["nsenter", f"--target={self.holder}", "--mount", "--net"]
        whole = self.storage.command("run", "--isolation=chroot", *options, self.name, "--", *command)
        with subprocess.Popen(
            [*inside, *whole], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                yield process
            finally:
                # buildah runs it below two processes of its own.
                for child in descendants(process):
                    child.kill()

    def run(self, *command: str, user: str = "") -> tuple[int, str]:
        """Run a command in it to the end: its exit status and all that it printed."""
        with self.start(*command, user=user) as process:
            said, _ = process.communicate(timeout=120)
        return process.returncode, said

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Send a request to the server from within: the status and the parsed answer."""
        code, said = self.run("python", "-c", _ASK, method, path, json.dumps(body) if body else "")
        assert code == 0, said
        status, _, answer = said.partition(" ")
        return int(status), json.loads(answer)

    def config(self) -> dict[str, Any]:
        """The configuration that the image was built with, as Docker writes it."""
        described = json.loads(self.storage.call("inspect", "--type", "container", self.name))
        config: dict[str, Any] = described["Docker"]["config"]
        return config


@contextmanager
def isolated(storage: Storage, image: str, models: Path | None = None) -> Iterator[Container]:
    """Make a container of `image` in namespaces of its own, with `models` mounted read-only on /models."""
    name = storage.call("from", "--pull-never", image)
    try:
        root = Path(storage.call("mount", name))
        command = ["unshare", "--mount", "--net", "sh", "-c", _ISOLATE, "sh", str(root)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "isolated\n"
            yield Container(storage, name, root, holder.pid, models)
            assert holder.stdin is not None
            holder.stdin.close()
    finally:
        storage.call("rm", name)


def descendants(run: subprocess.Popen[str]) -> list[psutil.Process]:
    """What `run` has started, the innermost last; nothing once it has ended."""
    return psutil.Process(run.pid).children(recursive=True) if run.poll() is None else []
