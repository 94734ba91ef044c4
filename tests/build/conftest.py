"""Full builds in a separate process, as a user runs them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from build.__main__ import main
from tests import tiny

ROOT = Path(__file__).resolve().parents[2]
Build = Callable[..., subprocess.CompletedProcess[str]]
Refused = Callable[..., str]


@pytest.fixture(scope="session")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a tiny BERT with CLS pooling in a folder."""
    return tiny.snapshot(tmp_path_factory.mktemp("source") / "tiny")


@pytest.fixture
def folder(snapshot: Path, tmp_path: Path) -> Path:
    """Copy the tiny model, to be changed."""
    return Path(shutil.copytree(snapshot, tmp_path / "source" / "tiny"))


def command(*arguments: str | Path) -> list[str]:
    """Return the command line of one build."""
    return [sys.executable, "-m", "build", *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    """Return this environment without the variables that a build reads."""
    read = ("FROM", "MODEL", "MODELS_DIR", "HF_ENDPOINT")
    return {name: value for name, value in os.environ.items() if name not in read} | more


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run a build that must fail, in this process; return its standard error."""

    def run(*arguments: str | Path) -> str:
        places = ("--models-dir", tmp_path / "models", "--cache", tmp_path / "cache")
        assert main([str(argument) for argument in (*places, *arguments)]) == 1
        assert not list((tmp_path / "models").glob("*.json"))
        return capsys.readouterr().err

    return run


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Run builds into `tmp_path/models` and wait for them."""

    def run(*arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        places = ("--models-dir", tmp_path / "models", "--cache", tmp_path / "cache")
        return subprocess.run(
            command(*places, *arguments),
            cwd=ROOT,
            env=environment(**more),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    return run
