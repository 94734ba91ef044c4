"""Jobs killed at seeded random times, from every kind of source to every kind of sink.

`make migrate-proof` kills 200 times; the tests a few times, with fewer rows.
"""

import csv
import gzip
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from server.migrate.stores.registry import is_address
from tests.faults.migration import KILLS, SEED, WINDOW, finish, start, texts
from tests.migrate.stores.clients import entries
from tests.migrate.stores.conftest import address
from tests.migrate.stores.fake_pinecone import FakePinecone
from tests.migrate.stores.opening import opened
from tests.migrate.stores.rows import rows, target

pytest.importorskip("chromadb", reason="needs requirements/stores.txt")
arrow: Any = pytest.importorskip("pyarrow", reason="needs requirements/stores.txt")
parquet: Any = pytest.importorskip("pyarrow.parquet", reason="needs requirements/stores.txt")

# Source, sink, precision, and the output type where it is not float32.
PAIRS = (
    ("json", "npy", "fp32"),
    ("json.zst", "jsonl", "int8"),
    ("jsonl.gz", "parquet", "int8"),
    ("csv", "npz", "int8"),
    ("txt", "faiss", "int8 int8"),
    ("folder", "shards", "int8"),
    ("parquet", "chroma", "int8"),
    ("chroma", "pgvector", "fp32 ubinary"),
    ("pgvector", "qdrant", "int8"),
    ("qdrant", "lancedb", "int8 float16"),
    ("jsonl.gz", "pinecone", "int8"),
)
SHARE = -(-KILLS // len(PAIRS))
JOB = re.compile(rb'"embedding_job":"[0-9a-f]+"')
LONG = KILLS >= 100
COUNT = 1000 if LONG else 400


@dataclass(frozen=True)
class Input:
    """The address of an input, and its ids in order."""

    where: str
    ids: Sequence[str]


@dataclass(frozen=True)
class Job:
    """A job that can be started and resumed."""

    output: str
    journal: Path
    begin: Callable[[], "subprocess.Popen[str]"]


@pytest.mark.timeout(3600 if LONG else 300)
@pytest.mark.parametrize(("source", "sink", "numbers"), PAIRS)
def test_killed_at_random_moments_the_result_is_the_uninterrupted_one(
    request: pytest.FixtureRequest, tmp_path: Path, pinecone: FakePinecone, source: str, sink: str, numbers: str
) -> None:
    pinecone.dimension = 384
    given = make(request, tmp_path, source)
    precision, *dtype = numbers.split()
    flags = ("--quantization", precision, *(("--format", "pinecone") if sink == "shards" else ()))
    flags += ("--output-dtype", *dtype) if dtype else ()
    whole = job(request, tmp_path / "whole", sink, given, *flags)
    lasts_s = seconds_from_the_first_window_on(whole)
    assert sorted(entry.id for entry in entries(whole.output)) == sorted(given.ids)
    expected = state(whole.output)
    chance = random.Random(f"{SEED} {source} {sink}")  # noqa: S311 - reproducible kill times
    kills = jobs = 0
    while kills < SHARE:
        jobs += 1
        killed = job(request, tmp_path / f"killed{jobs}", sink, given, *flags)
        kills += kill_until_done(killed, lasts_s, chance, SHARE - kills)
        assert state(killed.output) == expected, f"job {jobs}, after {kills} kills"
    sys.stdout.write(f"{source} -> {sink}, {numbers}: {kills} kills in {jobs} jobs of {COUNT} rows, all exact\n")


def seconds_from_the_first_window_on(whole: Job) -> float:
    """Run a job without interruption; return the seconds from its first window to its end."""
    process = whole.begin()
    wait_for_more(whole.journal, process)
    started = time.monotonic()
    status, _, err = finish(process)
    assert status == 0, err
    return time.monotonic() - started


def kill_until_done(killed: Job, lasts_s: float, chance: random.Random, most: int) -> int:
    """Run a job to completion, killing it at most `most` times; return the number of kills.

    Three of four kills are timed after the first window; the others at any time, during start included.
    """
    for kills in range(most):
        process = killed.begin()
        if chance.random() < 0.75:
            wait_for_more(killed.journal, process)
        try:
            process.wait(chance.uniform(0, lasts_s))
        except subprocess.TimeoutExpired:
            process.kill()
            finish(process)
        else:
            status, _, err = finish(process)
            assert status == 0, err
            return kills
    status, _, err = finish(killed.begin())
    assert status == 0, err
    return most


def wait_for_more(journal: Path, process: "subprocess.Popen[str]") -> None:
    """Wait until the job has extended its journal, or ended."""
    before = journal.stat().st_size if journal.exists() else 0
    while process.poll() is None and (not journal.exists() or journal.stat().st_size <= before):
        time.sleep(0.002)


def job(request: pytest.FixtureRequest, folder: Path, sink: str, given: Input, *flags: str) -> Job:
    """Return a job with a new target."""
    folder.mkdir()
    files = ("npy", "npz", "jsonl", "parquet")
    output = str(folder / f"out.{sink}") if sink in files else address(request, folder, sink)
    journal = folder / "journal.migrate"
    begin = partial(start, given.where, output, *WINDOW, "--journal", str(journal), *flags)
    return Job(output, journal / "journal", begin)


def state(output: str) -> object:
    """Return the exact content of a target: by file, or by id if the store has no order."""
    if is_address(output):
        return sorted((entry.id, entry.text, entry.vector.tobytes()) for entry in entries(output))
    return {
        # The mark in a folder of shards contains the job id, which differs between runs.
        str(path.relative_to(Path(output).parent)): JOB.sub(b"", path.read_bytes())
        for path in sorted(Path(output).parent.rglob("*"))
        if path.is_file() and "journal.migrate" not in path.parts
    }


def make(request: pytest.FixtureRequest, folder: Path, kind: str) -> Input:
    """Create an input of COUNT texts."""
    if kind in ("chroma", "qdrant", "pgvector"):
        written = rows(COUNT)
        where = address(request, folder, kind)
        with opened(where, target()) as store:
            store.write(written)
            store.finish()
        return Input(where, [row.id for row in written])
    made = texts(COUNT)
    if kind == "folder":
        return _folder(folder / "texts", made)
    ids = list(map(str, range(COUNT))) if kind == "txt" else [f"id-{number}" for number in range(COUNT)]
    path = folder / f"texts.{kind}"
    entries_ = [{"id": id_, "text": text} for id_, text in zip(ids, made, strict=True)]
    writers: dict[str, Callable[[], object]] = {
        "json": lambda: path.write_text(json.dumps(entries_), "utf-8"),
        "json.zst": lambda: _zstd(path, json.dumps(dict(zip(ids, made, strict=True))).encode()),
        "jsonl.gz": lambda: path.write_bytes(gzip.compress("\n".join(map(json.dumps, entries_)).encode())),
        "csv": lambda: _csv(path, entries_),
        "txt": lambda: path.write_text("\n".join(made), "utf-8"),
        "parquet": lambda: parquet.write_table(arrow.Table.from_pylist(entries_), path),
    }
    writers[kind]()
    return Input(str(path), ids)


def _folder(folder: Path, made: Sequence[str]) -> Input:
    names = [f"{number % 7}/{number:05}.txt" for number in range(len(made))]
    for name, text in zip(names, made, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return Input(str(folder), names)


def _csv(path: Path, entries_: Sequence[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, ["id", "text"])
        writer.writeheader()
        writer.writerows({**entry, "text": f'{entry["text"]},\n"quoted"'} for entry in entries_)


def _zstd(path: Path, data: bytes) -> None:
    with arrow.CompressedOutputStream(str(path), "zstd") as stream:
        stream.write(data)
