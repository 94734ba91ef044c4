"""Runs migrations in subprocesses, which tests can kill, with all-MiniLM-L6-v2 in int8."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

from tests.serving import MINILM, MODELS, ROOT

WORDS = ("the", "cat", "sat", "on", "a", "mat", "while", "server", "errors", "rise", "in", "blue", "rivers", "of")
SEED = 20260101
# Total over the pairs of tests/migrate/stores/test_killed.py; `make migrate-proof` sets 200.
KILLS = int(os.environ.get("MIGRATE_KILLS", "11"))
KEPT = ("PATH", "HOME", "LANG", "PINECONE_API_KEY")
WINDOW = ("--window", "100")


def texts(count: int) -> list[str]:
    """Generate short texts, about one in ten of them a duplicate."""
    chance = random.Random(SEED)  # noqa: S311 - the same texts each time
    made = [" ".join(chance.choices(WORDS, k=chance.choice((2, 3, 5, 8)))) for _ in range(count)]
    return [chance.choice(made) if chance.random() < 0.1 else text for text in made]


def write_texts(path: Path, count: int) -> Path:
    """Write a JSON list of short texts with ids."""
    path.write_text(json.dumps([{"id": f"id-{n}", "text": text} for n, text in enumerate(texts(count))]), "utf-8")
    return path


def start(source: Path | str, output: Path | str, *flags: str) -> subprocess.Popen[str]:
    """Start a migration with only the model's settings."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    environ = kept | {"MODEL": MINILM, "MODELS_DIR": str(MODELS), "QUANTIZATION": "int8", "DEVICE": "cpu"}
    # Jobs write identical bytes only if they use the same batch size, so it is fixed.
    environ["MAX_BATCH_TOKENS"] = "512"
    command = [sys.executable, "-m", "server.migrate", "--input", str(source), "--output", str(output), *flags]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, env=environ, text=True, **pipes)  # type: ignore[call-overload,no-any-return]


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the process to end; return its exit status, stdout and stderr."""
    try:
        out, err = process.communicate(timeout=240)
    finally:
        process.kill()
    return process.returncode, out, err


def files(folder: Path) -> dict[str, bytes]:
    """Return the output files, without the journal's folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def whole(source: Path, output: Path, *flags: str) -> dict[str, bytes]:
    """Run a migration without interruption; return its output files."""
    output.parent.mkdir()
    status, _, err = finish(start(source, output, *WINDOW, *flags))
    assert status == 0, err
    return files(output.parent)
