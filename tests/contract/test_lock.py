"""`make lock`: a changed requirement leaves all others pinned as they were, and only what is named is upgraded."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.serving import ROOT

# Stands for uv, writing down what it is asked.
UV = '#!/bin/sh\necho "$*" >> "$ASKED"\n'


def lock(folder: Path, *names: str) -> "subprocess.CompletedProcess[str]":
    """Run the script on a copy of the requirements."""
    shutil.copytree(ROOT / "requirements", folder / "requirements")
    uv = folder / "uv"
    uv.write_text(UV, "utf-8")
    uv.chmod(0o755)
    environ = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "ASKED": str(folder / "asked")}
    command = [str(folder / "requirements" / "lock.sh"), *names]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("names", "upgrades"),
    [
        ([], []),
        (["uvicorn", "starlette"], ["--upgrade-package=uvicorn", "--upgrade-package=starlette"]),
        (["all"], ["--upgrade"]),
    ],
)
def test_only_what_is_named_is_upgraded(tmp_path: Path, names: list[str], upgrades: list[str]) -> None:
    run = lock(tmp_path, *names)
    assert run.returncode == 0, run.stderr
    asked = (tmp_path / "asked").read_text("utf-8").splitlines()
    pinned = {path.name for path in (ROOT / "requirements").glob("*.txt")} - {"torch.txt"}
    assert {words.partition(" -o ")[2].split()[0] for words in asked} == pinned
    for words in asked:
        assert [word for word in words.split() if word.startswith("--upgrade")] == upgrades


def test_a_name_that_nothing_pins_is_refused(tmp_path: Path) -> None:
    run = lock(tmp_path, "uvicorn", "no-such-package")
    assert (run.returncode, run.stderr) == (1, "no file here pins no-such-package\n")
    assert not (tmp_path / "asked").exists()
