"""Runs complete jobs in this process, on a tiny model."""

import json
from collections.abc import Sequence
from pathlib import Path

from server.migrate import options
from server.migrate.commands.model import settings_of
from server.migrate.commands.run import migrate
from server.migrate.job.receipt import Receipt
from server.settings import Settings
from tests.unit.server import tiny

WORDS = ("a", "b", "c", "the", "cat", "dog", "sat", "query")


def texts(count: int) -> list[str]:
    """Return texts of one to five words, with some repetitions."""
    made = [" ".join(WORDS[number // 8**place % 8] for place in range(1 + number % 5)) for number in range(count)]
    return [text if number % 7 else made[number // 2] for number, text in enumerate(made)]


def write_input(path: Path, entries: Sequence[object]) -> Path:
    """Write a JSON list."""
    path.write_text(json.dumps(list(entries)), "utf-8")
    return path


def settings(models_dir: Path, asked: options.Options) -> Settings:
    """Return the settings of a job on the tiny model."""
    fixed = {"MODEL": tiny.NAME, "MODELS_DIR": str(models_dir), "DEVICE": "cpu", "THREADS": "1"}
    return settings_of(asked, fixed)


def run(models_dir: Path, source: Path, output: Path | str, *flags: str) -> Receipt:
    """Run a job to completion."""
    asked = options.parse(["--input", str(source), "--output", str(output), *flags])
    return migrate(asked, settings(models_dir, asked))
