"""Project rules: import contracts, the contents of the runtime environment, and promises of the documents."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from server.settings import SETTINGS
from tests.serving import ROOT


def contracts() -> dict[str, dict[str, Any]]:
    """Return import-linter's contracts by id."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    return {contract["id"]: contract for contract in table["contracts"]}


FORBIDDEN = set(contracts()["runtime"]["forbidden_modules"]) - {"bench", "build", "tests"}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    wide = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=wide, capture_output=True, text=True, check=False)


def copy_packages(folder: Path) -> None:
    for name in ("server", "build", "bench"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def test_the_runtime_environment_holds_no_build_tools() -> None:
    installed = {name.lower().replace("-", "_") for dist in importlib.metadata.distributions() if (name := dist.name)}
    assert not FORBIDDEN & installed
    program = "import sys, server.__main__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not FORBIDDEN & {name.split(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("package", ["server", "build"])
def test_onnx_runtime_s_telemetry_is_off_before_it_is_imported(package: str) -> None:
    program = f"import os, sys, {package}; print(os.environ['ORT_DISABLE_TELEMETRY'], 'onnxruntime' in sys.modules)"
    clean = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=clean, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "False"]


def test_imports_keep_to_the_contracts() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


# One violation of each contract: a line of Python, and the module to add it to.
BREACHES = {
    "rooms": ("server/system/machine.py", "import server.inference.cuda"),
    "migration": ("server/migrate/record.py", "import server.migrate.pipeline.window"),
    "stores": ("server/migrate/stores/qdrant/open.py", "import server.migrate.stores.chroma.open"),
    "cycles": ("server/model/staging.py", "import server.model.artifact"),
    "runtime": ("server/inference/engine.py", "import torch"),
    "core": ("server/__main__.py", "import server.migrate.record"),
    "no-http": ("server/migrate/options.py", "import server.connection.transport"),
    "starlette": ("server/errors.py", "import starlette.responses"),
    "torchless": ("build/from_graph.py", "import build.exporters"),
    "smoke": ("server/smoke.py", "import server.errors"),
    "bench": ("build/texts.py", "import bench.table"),
}


def test_each_contract_finds_what_breaks_it(tmp_path: Path) -> None:
    copy_packages(tmp_path)
    for path, line in BREACHES.values():
        with (tmp_path / path).open("a", encoding="utf-8") as module:
            module.write(f"\n{line}\n")
    done = lint_imports(tmp_path)
    broken = re.findall(r"^(.*) BROKEN$", done.stdout, re.MULTILINE)
    assert BREACHES.keys() == contracts().keys()
    assert broken == [contract["name"] for contract in contracts().values()]


def test_a_new_room_without_its_row_is_found(tmp_path: Path) -> None:
    copy_packages(tmp_path)
    (tmp_path / "server" / "annex.py").touch()
    assert "server.annex" in lint_imports(tmp_path).stdout


def test_build_is_tracked_linted_and_tested() -> None:
    tracked = subprocess.run(["git", "ls-files", "build"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode == 0 and tracked.stdout:
        assert "build/pipeline.py" in tracked.stdout.split()
    linted = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--show-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert any(line.endswith("build/pipeline.py") for line in linted.stdout.splitlines())
    assert (ROOT / "tests" / "unit" / "build").is_dir()


def test_files_stay_readable() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for folder in ("server", "build", "bench", "tests")
        for path in sources(folder)
        if (count := len(path.read_text("utf-8").splitlines())) > 350
    }
    assert not long


def test_readme_s_table_of_settings_is_the_server_s() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (?:`([^`]*)`|) ?\|", readme, re.MULTILINE))
    assert rows == {setting.name: setting.default for setting in SETTINGS}


def test_make_help_lists_every_verb() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    verbs = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    phony = set(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split())
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert verbs == phony
    assert all(f"make {verb} " in shown for verb in verbs)


def test_the_first_commands_of_readme_are_the_two_that_set_everything_up() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    commands = re.findall(r"^make [a-z-]+", readme, re.MULTILINE)
    assert commands[:2] == ["make demo", "make test"]
