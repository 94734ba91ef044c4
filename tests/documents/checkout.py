"""A temporary checkout to run the documents' commands in, linked to these sources and environments."""

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

# Folders that commands may write to; everything else is a symlink.
_OWN = {"models", "wheels", ".git", ".cache"}
LISTENING = re.compile(r"listening on \S+ port (\d+)")


@dataclass(frozen=True)
class Checkout:
    """A folder that looks like a fresh checkout with its environments installed."""

    folder: Path

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a user's shell, with all-MiniLM-L6-v2 as the model."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        mine = {"MODEL": MINILM, "MODELS_DIR": str(MODELS), "QUANTIZATION": "int8", "HOST": "127.0.0.1", "PORT": "0"}
        return kept | mine | more

    def run(self, command: str, **environment: str) -> str:
        """Run a command that must succeed; return its output."""
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
        """Run a command that serves; yield the server's URL; stop it with SIGINT."""
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
    """Make a checkout in `folder`; `environments` maps its environments to existing ones. Skip if one is missing."""
    for path in ROOT.iterdir():
        if path.name not in _OWN and not path.name.startswith(".venv"):
            (folder / path.name).symlink_to(path)
    (folder / "models").mkdir()
    # `WHEELS=wheels` is refused without one; the environments are complete, so that nothing is installed from it.
    (folder / "wheels").mkdir()
    (folder / "wheels" / "none.whl").touch()
    for name, origin in environments.items():
        if not (ROOT / origin / "bin" / "python").exists():
            pytest.skip(f"{origin} is not there: make {origin}/ready")
        _environment(folder / name, ROOT / origin)
    return Checkout(folder)


def add_model(checkout: Checkout) -> None:
    """Copy the built int8 all-MiniLM-L6-v2 into the checkout; the server refuses symlinks."""
    for name in ("json", "tokenizer.json", "int8.onnx"):
        shutil.copyfile(MODELS / f"{MINILM}.{name}", checkout.folder / "models" / f"{MINILM}.{name}")


def _environment(target: Path, origin: Path) -> None:
    """Link an environment and mark it up to date, so that `make` does not rebuild the real one."""
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
        if match := LISTENING.search(line):
            return int(match[1])
    raise AssertionError("it did not serve:\n" + "".join(said))
