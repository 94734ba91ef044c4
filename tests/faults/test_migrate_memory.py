"""A migration's peak memory does not grow with the input, measured on a real process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.serving import MINILM, MODELS, ROOT

pytestmark = pytest.mark.alone

# `make migrate-proof` sets 1,000,000.
ROWS = int(os.environ.get("MIGRATE_ROWS", "200000"))
# Enough rows to fill the bounded memo of vectors.
FEWER = 100_000
GROWTH_MB = 16


def write_texts(path: Path, rows: int) -> Path:
    with path.open("w") as lines:
        for number in range(rows):
            lines.write(json.dumps({"id": f"id-{number}", "text": f"text {number * 7919 % rows} of many"}) + "\n")
    return path


def peak_mb(source: Path, output: Path) -> float:
    """Run a migration with a fake engine; return its peak resident memory in MB."""
    environ = {**os.environ, "MODEL": MINILM, "MODELS_DIR": str(MODELS), "QUANTIZATION": "int8", "DEVICE": "cpu"}
    command = [sys.executable, "-m", "tests.faults.volume", "--input", str(source), "--output", str(output), "--json"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    summary, kilobytes = done.stdout.splitlines()
    counts = json.loads(summary)["counts"]
    assert counts["input"] == counts["embedded"] == counts["rows"]
    return int(kilobytes) / 1024


@pytest.mark.timeout(300 + ROWS // 500)
def test_memory_does_not_grow_with_the_input(tmp_path: Path) -> None:
    fewer = peak_mb(write_texts(tmp_path / "fewer.jsonl", FEWER), tmp_path / "fewer.npy")
    more = peak_mb(write_texts(tmp_path / "more.jsonl", ROWS), tmp_path / "more.npy")
    assert len(np.load(tmp_path / "more.npy", mmap_mode="r")) == ROWS
    figures = f"{FEWER:,} rows took {fewer:.0f} MB, {ROWS:,} took {more:.0f} MB"
    sys.stdout.write(f"{figures}\n")
    assert more - fewer < GROWTH_MB, figures
