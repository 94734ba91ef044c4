"""A checkout to type the documents' commands into: the sources and environments of this one, folders of its own."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.serving import MINILM, MODELS, ROOT

# What a command may write into; everything else is a link to this checkout's own.
_OWN = {"models", ".git", ".cache"}
LISTENING = re.compile(r"listening on \S+ port (\d+)")


@dataclass(frozen=True)
class Checkout:
    """A folder that looks like a fresh checkout whose environments are ready."""

    folder: Path

    def environment(self, **more: str) -> dict[str, str]:
        """What a user's shell has, on a machine where all-MiniLM-L6-v2 is the model."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        mine = {"MODEL": MINILM, "MODELS_DIR": str(MODELS), "QUANTIZATION": "int8", "HOST": "127.0.0.1", "PORT": "0"}
        return kept | mine | more

    def run(self, command: str, **environment: str) -> str:
        """Type a command, wait for its end, return what it said; anything but success fails the test."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout

    @contextmanager
    def serving(self, command: str, **environment: str) -> Iterator[str]:
        """Type a command that serves; yield the server's address; end it as Ctrl-C does."""
        with subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield f"http://127.0.0.1:{_port(process)}"
            finally:
                os.killpg(process.pid, signal.SIGINT)
                process.communicate(timeout=60)


def make(folder: Path, environments: Mapping[str, str]) -> Checkout:
    """Make a checkout in `folder` with environments by name, each one of ours; skip where one is not there."""
    for path in ROOT.iterdir():
        if path.name not in _OWN and not path.name.startswith(".venv"):
            (folder / path.name).symlink_to(path)
    (folder / "models").mkdir()
    for name, origin in environments.items():
        if not (ROOT / origin / "bin" / "python").exists():
            pytest.skip(f"{origin} is not there: make {origin}/ready")
        _environment(folder / name, ROOT / origin)
    return Checkout(folder)


def add_model(checkout: Checkout) -> None:
    """Lay the built all-MiniLM-L6-v2 into the checkout, in int8; copied, because the server refuses links."""
    for name in ("json", "tokenizer.json", "int8.onnx"):
        shutil.copyfile(MODELS / f"{MINILM}.{name}", checkout.folder / "models" / f"{MINILM}.{name}")


def _environment(target: Path, origin: Path) -> None:
    """An environment that is ready, whatever the times of the requirements say: `make` must not touch the real one."""
    target.mkdir()
    for path in origin.iterdir():
        if path.name != "ready":
            (target / path.name).symlink_to(path)
    (target / "ready").touch()


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if found := LISTENING.search(line):
            return int(found[1])
    raise AssertionError("it did not serve:\n" + "".join(said))
