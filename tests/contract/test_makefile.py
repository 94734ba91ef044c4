"""The output of make targets, and the environments that they run tests in."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from server import __version__
from tests.serving import ROOT


def test_make_migrate_does_not_print_the_address_that_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "ready").touch()
    python = tmp_path / "bin" / "python"
    python.write_text('#!/bin/sh\nprintf %s "$*" > "$(dirname "$0")/../given"\nexit 1\n', "utf-8")
    python.chmod(0o755)
    output = "postgresql://me:hidden@127.0.0.1/app#docs"
    command = ["make", "migrate", f"MIGRATE={tmp_path}", "INPUT=a.json", f"OUTPUT={output}"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert output in (tmp_path / "given").read_text("utf-8")
    assert "migrate" in run.stderr
    assert "hidden" not in run.stdout + run.stderr


def test_what_make_starts_is_told_the_version_of_the_server() -> None:
    command = ["make", "--eval=told:;@printenv VERSION", "told"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split() == [__version__]


def planned(*arguments: str) -> list[str]:
    """The commands that make would run, without those that make an environment or a model."""
    places = (".venv", ".venv-build", ".venv-build-onnx", ".venv-clients", ".venv-stores")
    ready = [f"-o{path}/ready" for path in places]
    command = ["make", "--dry-run", *ready, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if " -m pytest " in line]


@pytest.mark.parametrize(
    ("path", "environment"),
    [
        ("tests/unit/server/test_budget.py", ".venv"),
        ("tests/unit/build/test_clean.py::test_a[x y]", ".venv-build"),
        ("tests/build/", ".venv-build"),
        ("./tests/clients/test_openai.py", ".venv-clients"),
        (f"{ROOT}/tests/migrate", ".venv-stores"),
        ("tests/unit/server/migrate", ".venv"),
        ("tests/unit", ".venv"),
    ],
)
def test_one_test_runs_where_all_of_them_would_run_it(path: str, environment: str) -> None:
    (alone,) = planned("test-one", f"T={path}")
    assert alone.startswith(f"{environment}/bin/python -m pytest ")
    folders = {"tests/unit/build", "tests/build", "tests/clients", "tests/migrate"}
    left_out = set(re.findall(r"--ignore (\S+)", alone))
    assert left_out == (folders if environment == ".venv" else set())


def test_a_unit_test_needs_no_model_and_no_name_is_refused_at_once() -> None:
    command = ["make", "--dry-run", "-o.venv/ready", "test-one", "T=tests/unit/server/test_budget.py"]
    assert "-m build" not in subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    # Whoever runs this test by the verb has named it to make.
    bare = {name: value for name, value in os.environ.items() if name not in ("T", "MAKEFLAGS")}
    done = subprocess.run(["make", "test-one"], cwd=ROOT, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "make test-one T=" in done.stderr


def test_every_folder_of_tests_is_run_in_one_environment() -> None:
    runs = [line for line in planned("test") if " -m pytest" in line]
    ignored = [re.findall(r"--ignore (\S+)", line) for line in runs]
    given = [re.findall(r"(?<!--ignore) (tests/\S+)", line) for line in runs]
    rest, alone = [number for number, folders in enumerate(given) if not folders]
    assert re.findall(r' -m ("not alone"|alone) ', runs[rest] + runs[alone]) == ['"not alone"', "alone"]
    assert ignored[alone] == ignored[rest]
    assert sorted(folder for folders in given for folder in folders) == sorted(ignored[rest])
    assert [folder for folder in ignored[rest] if not (ROOT / folder).is_dir()] == []
    # The unit tests leave to other environments what is theirs.
    (units,) = [number for number, folders in enumerate(given) if folders == ["tests/unit"]]
    assert [*ignored[units], "tests/unit"] == ignored[rest]
    assert runs[units].split()[0] == runs[rest].split()[0] == runs[alone].split()[0]
