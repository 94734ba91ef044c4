"""The house rules: what may be imported where, what the runtime may hold, what the documents promise."""

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from server.settings import SETTINGS
from tests.serving import ROOT

FORBIDDEN = {"torch", "transformers", "onnx", "optimum", "onnxscript", "onnx_ir", "huggingface_hub"}
# Each module may import those before it in this list, never one after it.
ORDER = [
    *("secret", "settings", "errors", "memory", "lines", "stops", "process", "head", "lingering", "unread"),
    *("reading", "room", "taking"),
    *("half_closed", "terms", "connection", "protocol", "manifest", "staging", "owned", "machine"),
    *(
        "allowance",
        "trail",
        "logs",
        "metrics",
        "traces",
        "artifact",
        "text_start",
        "tokenization",
        "memory_budget",
        "cuda",
        "device",
        "session",
    ),
    *("binding", "engine", "runner", "cost", "growth", "plan", "turns", "inference", "job"),
    *("speed", "patience", "deadlines", "waiting", "batch", "admission", "scheduler", "batcher", "warmup"),
    *("cache", "canary", "visible", "question", "wire.body", "wire.fields"),
    *("wire.embed", "wire.openai", "wire.similarity", "wire.tokens", "loaded", "start", "describe", "service", "guard"),
    *("observe", "schemas", "openapi", "docs_page", "app", "__main__"),
]
# The same for migrate/; a star stands for the modules of a folder that are not named, which do not import each other.
MIGRATE_ORDER = [
    *("errors", "extra", "record", "retry", "shard", "chunk", "window", "address", "keys", "stores.stored", "stores.*"),
    *("made", "mark", "lock"),
    *("sources.source", "sources.stream", "sources.values", "sources.fields", "sources.file", "sources.store"),
    *("sources.json_decoder", "sources.json_cursor", "sources.lines"),
    *("sources.*", "sources.registry", "prepare", "seen", "memo"),
    *("compute", "journal", "side_file", "workspace", "sinks.sink", "sinks.file"),
    *("sinks.growing", "sinks.line_file", "sinks.vector_rows", "sinks.npy"),
    *("sinks.claim", "sinks.metadata", "sinks.store", "sinks.pinecone_record", "sinks.pinecone_shards", "sinks.*"),
    *(
        "sinks.registry",
        "vector_file",
        "opening",
        "compare",
        "ahead",
        "progress",
        "sample",
        "verify",
        "receipt",
        "options",
        "apart",
        "places",
        "model",
        "estimate",
    ),
    *("merge", "run", "ray_engine", "__main__"),
]


def imports(path: Path) -> set[str]:
    """Absolute names of all modules that a file imports, wherever it does."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT / "server").with_suffix("").parts)


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


@pytest.mark.parametrize("path", sources("server"), ids=lambda path: path.name)
def test_the_server_imports_one_way(path: Path) -> None:
    named = imports(path)
    assert not {name.split(".")[0] for name in named} & (FORBIDDEN | {"build", "bench", "tests"})
    if (module := module_of(path)) in ORDER:
        mine = {name.removeprefix("server.") for name in named if name.startswith("server.")} & set(ORDER)
        later = [name for name in mine if ORDER.index(name) >= ORDER.index(module)]
        assert not later


@pytest.mark.parametrize("path", sources("server/migrate"), ids=lambda path: path.name)
def test_migrate_imports_one_way(path: Path) -> None:
    mine = migrate_rank(module_of(path).removeprefix("migrate."))
    prefix = "server.migrate."
    named = {name.removeprefix(prefix) for name in imports(path) if name.startswith(prefix)}
    later = [name for name in named if (rank := migrate_rank(name)) is not None and mine is not None and rank >= mine]
    assert not later
    assert mine is not None or path.name == "__init__.py"


def migrate_rank(module: str) -> int | None:
    """The place of a module of migrate/ in its order; None of what is no module."""
    path = ROOT / "server" / "migrate" / f"{module.replace('.', '/')}.py"
    if module in MIGRATE_ORDER:
        return MIGRATE_ORDER.index(module)
    folder = f"{module.partition('.')[0]}.*"
    return MIGRATE_ORDER.index(folder) if path.is_file() and folder in MIGRATE_ORDER else None


def test_every_server_module_has_its_place_in_the_order() -> None:
    modules = {name for path in sources("server") if not (name := module_of(path)).startswith("migrate.")}
    assert modules - set(ORDER) <= {"__init__", "wire.__init__", "smoke"}


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
