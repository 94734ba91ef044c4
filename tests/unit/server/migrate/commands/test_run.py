"""Complete jobs on a tiny model: their output, and what remains after a crash."""

import errno
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import orjson
import pytest

from server.errors import InferenceError
from server.inference.engine import Engine, Ids, Tokens, Vectors
from server.migrate.commands.model import JobModel
from server.migrate.errors import MigrateError
from server.migrate.job import receipt
from server.migrate.outputs import read
from server.migrate.pipeline.embed import Embedder
from server.migrate.pipeline.parallel_engine import ParallelEngine
from server.migrate.record import Row
from server.migrate.sinks.npy import NpySink
from tests.conftest import STRIDE
from tests.unit.server.migrate.crash import Killed, killing
from tests.unit.server.migrate.jobs import run, texts, write_input
from tests.unit.server.migrate.sinks.rows import snapshot

WINDOW = ("--window", "8")


class BatchDependentEngine:
    """An engine whose vectors depend slightly on the rest of the batch, as those of real engines do."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.dimension = engine.dimension
        self.max_tokens = engine.max_tokens

    def embed(self, sequences: Sequence[Tokens]) -> Vectors:
        vectors = self._engine.embed(sequences)
        company = sum(int(id_) * (place + 1) for sequence in sequences for place, id_ in enumerate(sequence))
        vectors[:, 0] += np.float32(company % 101 * 1e-6)
        return vectors


@pytest.fixture(autouse=True)
def one_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibrate the engine once, since a test runs a job a hundred times."""
    started: list[ParallelEngine] = []
    start = JobModel.start

    def once(model: JobModel) -> tuple[ParallelEngine, int]:
        if not started:
            started.append(ParallelEngine(BatchDependentEngine(start(model)[0].engine), 1))
        return started[0], 24

    monkeypatch.setattr(JobModel, "start", once)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_input(tmp_path / "texts.json", texts(40))


def outputs(folder: Path) -> dict[str, bytes]:
    """Return the files of a job's folder, without the journal and its side files."""
    return {name: content for name, content in snapshot(folder).items() if ".migrate" not in name}


def whole(models_dir: Path, source: Path, folder: Path, name: str) -> dict[str, bytes]:
    folder.mkdir()
    run(models_dir, source, folder / f"out.{name}", *WINDOW)
    return outputs(folder)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("name", ["npy", "npz", "jsonl"])
def test_killed_at_any_moment_and_run_again_it_gives_the_uninterrupted_result(
    models_dir: Path, source: Path, tmp_path: Path, name: str, *, half: bool
) -> None:
    expected = whole(models_dir, source, tmp_path / "whole", name)
    calls, died = 1 - STRIDE, True
    while died:
        calls += STRIDE
        folder = tmp_path / f"killed{calls}"
        folder.mkdir()
        with killing(calls, half=half):
            try:
                run(models_dir, source, folder / f"out.{name}", *WINDOW)
                died = False
            except Killed:
                pass
        receipt = run(models_dir, source, folder / f"out.{name}", *WINDOW)
        assert outputs(folder) == expected, f"killed at call {calls}"
        assert receipt["counts"]["rows"] == 40
    assert calls > 50, "the windows and the end make more calls than that"


def test_killed_again_and_again_no_window_is_done_twice(
    models_dir: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = whole(models_dir, source, tmp_path / "whole", "npy")
    written: list[int] = []
    write = NpySink.write

    def counted(sink: NpySink, rows: Sequence[Row]) -> None:
        write(sink, rows)
        written.append(rows[0].place)

    monkeypatch.setattr(NpySink, "write", counted)
    (tmp_path / "out").mkdir()
    for lives in range(1, 200):
        before = len(written)
        with killing(25):
            try:
                run(models_dir, source, tmp_path / "out" / "out.npy", *WINDOW)
                break
            except Killed:
                pass
        assert lives < 100
        assert len(written) - before < 5
    assert outputs(tmp_path / "out") == expected
    assert all(written.count(place) <= 2 for place in written), "at most one window is repeated for a death"


def test_rows_are_in_order_with_the_ids_and_vectors_of_their_texts(models_dir: Path, tmp_path: Path) -> None:
    source = write_input(tmp_path / "texts.json", [{"id": f"x{n}", "text": text} for n, text in enumerate(texts(40))])
    run(models_dir, source, tmp_path / "out.npy", *WINDOW)
    run(models_dir, source, tmp_path / "alone.npy", "--window", "1", "--no-dedupe")
    rows, alone = (list(read(str(tmp_path / name), "npy")) for name in ("out.npy", "alone.npy"))
    assert [row.id for row in rows] == [f"x{n}" for n in range(40)]
    assert np.allclose([row.vector for row in rows], [row.vector for row in alone], atol=2e-4)


def test_the_receipt_holds_counts_that_add_up_and_hashes(models_dir: Path, source: Path, tmp_path: Path) -> None:
    receipt = run(models_dir, source, tmp_path / "out.npy", *WINDOW)
    counts = receipt["counts"]
    assert counts["input"] == counts["records"] == counts["embedded"] == counts["rows"] == 40
    assert counts["repeated"] == 40 - len(set(texts(40)))
    assert receipt["verified"]["sample"] >= 20
    assert [file["name"] for file in receipt["files"]] == [str(tmp_path / "out.npy"), str(tmp_path / "out.ids.jsonl")]
    assert receipt == orjson.loads((tmp_path / "out.npy.migrate" / "receipt.json").read_bytes())


def test_a_finished_job_is_not_done_again(models_dir: Path, source: Path, tmp_path: Path) -> None:
    first = run(models_dir, source, tmp_path / "out.npy", *WINDOW)
    assert run(models_dir, source, tmp_path / "out.npy", *WINDOW) == first
    (tmp_path / "out.ids.jsonl").unlink()
    with pytest.raises(MigrateError, match=r"out.ids.jsonl is gone; run with --restart"):
        run(models_dir, source, tmp_path / "out.npy", *WINDOW)


def begin(models_dir: Path, source: Path, output: Path, *flags: str) -> None:
    """Run a job until it crashes."""
    with killing(60), pytest.raises(Killed):
        run(models_dir, source, output, *WINDOW, *flags)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--window", "9"), "window was 8, is 9"),
        ((*WINDOW, "--input-type", "query"), "prompt was '', is 'query: '"),
        ((*WINDOW, "--chunk", "8:2"), "chunk was no, is 8:2"),
        ((*WINDOW, "--dimensions", "4"), "dimensions was all, is 4"),
        ((*WINDOW, "--format", "jsonl"), "target was npy .*, is jsonl"),
        ((*WINDOW, "--no-dedupe"), "dedupe was yes, is no"),
    ],
)
def test_another_job_is_refused_with_what_changed(
    models_dir: Path, source: Path, tmp_path: Path, flags: tuple[str, ...], said: str
) -> None:
    begin(models_dir, source, tmp_path / "out.npy")
    with pytest.raises(MigrateError, match=rf"{said}(.|\n)*--restart"):
        run(models_dir, source, tmp_path / "out.npy", *flags)
    run(models_dir, source, tmp_path / "out.npy", *flags, "--restart")


def test_another_input_or_model_is_refused_with_what_changed(models_dir: Path, source: Path, tmp_path: Path) -> None:
    begin(models_dir, source, tmp_path / "out.npy")
    write_input(source, texts(41))
    with pytest.raises(MigrateError, match=r"input was .*SHA-256"):
        run(models_dir, source, tmp_path / "out.npy", *WINDOW)
    receipt = run(models_dir, source, tmp_path / "out.npy", *WINDOW, "--restart")
    assert receipt["counts"]["rows"] == 41


def test_killed_right_after_restart_the_old_output_is_still_to_be_replaced(
    models_dir: Path, source: Path, tmp_path: Path
) -> None:
    run(models_dir, source, tmp_path / "out.npy", *WINDOW)
    write_input(source, texts(41))
    with killing(18), pytest.raises(Killed):
        run(models_dir, source, tmp_path / "out.npy", *WINDOW, "--restart")
    assert len(np.load(tmp_path / "out.npy")) == 40
    run(models_dir, source, tmp_path / "out.npy", *WINDOW)
    assert len(np.load(tmp_path / "out.npy")) == 41


BAD = ["a", None, "b", 7, "", "cat"]


def test_a_record_that_cannot_be_embedded_stops_the_job_and_is_named(models_dir: Path, tmp_path: Path) -> None:
    source = write_input(tmp_path / "texts.json", BAD)
    with pytest.raises(MigrateError, match=r"record 1 \(id '1'\) cannot be embedded: there is no text(.|\n)*skip"):
        run(models_dir, source, tmp_path / "out.npy")


def test_records_that_cannot_be_embedded_are_left_out_and_listed(models_dir: Path, tmp_path: Path) -> None:
    source = write_input(tmp_path / "texts.json", BAD)
    with pytest.raises(MigrateError, match="cannot be embedded"):
        run(models_dir, source, tmp_path / "out.npy", "--window", "2")
    # Skipping rejects does not make it a different job: rows already written are kept.
    flags = ("--window", "2", "--on-error", "skip", "--rejects", str(tmp_path / "bad.jsonl"))
    counts = run(models_dir, source, tmp_path / "out.npy", *flags)["counts"]
    assert (counts["records"], counts["embedded"], counts["rejected"], counts["rows"]) == (6, 3, 3, 3)
    listed = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert [(entry["record"], entry["id"]) for entry in listed] == [(1, "1"), (3, "3"), (4, "4")]
    assert all(entry["reason"] for entry in listed)
    assert [row.id for row in read(str(tmp_path / "out.npy"), "npy")] == ["0", "2", "5"]


@pytest.mark.parametrize("flags", [(), ("--shard", "1/2")])
def test_an_input_without_records_is_refused_and_nothing_is_written(
    models_dir: Path, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    source = write_input(tmp_path / "texts.json", [])
    with pytest.raises(MigrateError, match=r"texts.json has no records: nothing to embed"):
        run(models_dir, source, tmp_path / "out.npy", *flags)
    assert not (tmp_path / "out.npy").exists()


@pytest.mark.parametrize(("entries", "flags"), [([None], ("--on-error", "skip")), (["a"], ("--shard", "2/2"))])
def test_a_job_that_embeds_nothing_claims_no_cosine(
    models_dir: Path, tmp_path: Path, entries: list[object], flags: tuple[str, ...]
) -> None:
    made = run(models_dir, write_input(tmp_path / "texts.json", entries), tmp_path / "out.npy", *flags)
    assert made["verified"] == {"rows": 0, "sample": 0, "least_cosine": None}
    said = "\n".join(receipt.lines(made))
    assert "nothing was embedded" in said
    assert "cosine" not in said


def test_an_id_that_comes_twice_is_refused_with_both_records(models_dir: Path, tmp_path: Path) -> None:
    entries = [{"id": id_, "text": "a"} for id_ in ("x", "y", "z", "x")]
    source = write_input(tmp_path / "texts.json", entries)
    with pytest.raises(MigrateError, match=r"record 3 \(id 'x'\) .*that of record 0"):
        run(models_dir, source, tmp_path / "out.npy", "--window", "2")


def test_long_texts_are_counted_when_truncated_and_whole_when_chunked(models_dir: Path, tmp_path: Path) -> None:
    source = write_input(tmp_path / "texts.json", ["cat " * 30, "dog"])
    assert run(models_dir, source, tmp_path / "cut.npy")["counts"]["truncated"] == 1
    counts = run(models_dir, source, tmp_path / "chunked.jsonl", "--chunk", "14:2")["counts"]
    assert (counts["truncated"], counts["embedded"], counts["rows"]) == (0, 2, 4)
    rows = list(read(str(tmp_path / "chunked.jsonl"), "jsonl"))
    assert [row.id for row in rows] == ["0#0", "0#1", "0#2", "1#0"]


def test_chunks_that_the_model_could_not_read_are_refused(models_dir: Path, source: Path, tmp_path: Path) -> None:
    with pytest.raises(MigrateError, match="room for 14 tokens"):
        run(models_dir, source, tmp_path / "out.npy", "--chunk", "15:2")


def test_a_sink_that_loses_its_answer_makes_no_duplicates(
    models_dir: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = whole(models_dir, source, tmp_path / "whole", "npy")
    write = NpySink.write
    failed: set[int] = set()

    def lossy(sink: NpySink, rows: Sequence[Row]) -> None:
        write(sink, rows)
        if rows[0].place not in failed:
            failed.add(rows[0].place)
            raise MigrateError("the answer was lost")

    monkeypatch.setattr(NpySink, "write", lossy)
    (tmp_path / "out").mkdir()
    for _ in range(5):
        with pytest.raises(MigrateError, match="the answer was lost"):
            run(models_dir, source, tmp_path / "out" / "out.npy", *WINDOW)
    run(models_dir, source, tmp_path / "out" / "out.npy", *WINDOW)
    assert outputs(tmp_path / "out") == expected


def test_after_a_full_disk_it_goes_on(
    models_dir: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = whole(models_dir, source, tmp_path / "whole", "npy")
    (tmp_path / "out").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(NpySink, "write", _full)
        with pytest.raises(OSError, match="No space left"):
            run(models_dir, source, tmp_path / "out" / "out.npy", *WINDOW)
    run(models_dir, source, tmp_path / "out" / "out.npy", *WINDOW)
    assert outputs(tmp_path / "out") == expected


def _full(_sink: NpySink, _rows: Sequence[Row]) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_an_engine_that_fails_loses_nothing(
    models_dir: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_computer: Embedder, _sequences: Sequence[Ids]) -> tuple[Vectors, int]:
        raise InferenceError("inference failed")

    with monkeypatch.context() as patch:
        patch.setattr(Embedder, "vectors", broken)
        with pytest.raises(MigrateError, match=r"inference failed\. Nothing is lost"):
            run(models_dir, source, tmp_path / "out.npy", *WINDOW)
    assert run(models_dir, source, tmp_path / "out.npy", *WINDOW)["counts"]["rows"] == 40
