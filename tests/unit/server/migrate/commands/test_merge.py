from pathlib import Path

import orjson
import pytest

from server.migrate import options
from server.migrate.commands.merge import merge
from server.migrate.errors import MigrateError
from server.migrate.job.receipt import Receipt
from server.migrate.options import job_folder
from server.migrate.outputs import read
from server.migrate.sinks import npz
from tests.unit.server.migrate.crash import Killed, killing
from tests.unit.server.migrate.jobs import run, texts, write_input
from tests.unit.server.migrate.sinks.rows import snapshot

FLAGS = ("--window", "4", "--on-error", "skip")


def unite(shards: list[Path], output: Path) -> Receipt:
    return merge(options.parse(["--merge", *map(str, shards), "--output", str(output)]))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_input(tmp_path / "texts.json", [*texts(20), None, *texts(9), "", None])


def shards(models_dir: Path, source: Path, folder: Path, name: str, count: int = 3, *flags: str) -> list[Path]:
    made = [folder / f"shard{index}.{name}" for index in range(1, count + 1)]
    for index, path in enumerate(made, 1):
        run(models_dir, source, path, *FLAGS, *flags, "--shard", f"{index}/{count}")
    return made


@pytest.mark.parametrize("name", ["npy", "npz", "jsonl"])
def test_the_union_of_all_shards_is_the_whole(models_dir: Path, source: Path, tmp_path: Path, name: str) -> None:
    whole = run(models_dir, source, tmp_path / f"whole.{name}", *FLAGS)
    parts = shards(models_dir, source, tmp_path, name)
    receipt = unite(parts[::-1], tmp_path / f"united.{name}")
    one, other = (list(read(str(tmp_path / f"{kind}.{name}"), name)) for kind in ("whole", "united"))
    assert [(row.id, row.text) for row in one] == [(row.id, row.text) for row in other]
    # The tiny model's vectors do not depend on the batch.
    assert all((row.vector == twin.vector).all() for row, twin in zip(one, other, strict=True))
    for count in ("input", "records", "embedded", "rejected", "rows"):
        assert receipt["counts"][count] == whole["counts"][count]


def test_the_union_says_the_space_of_its_shards_and_takes_those_of_earlier_versions(
    models_dir: Path, source: Path, tmp_path: Path
) -> None:
    parts = shards(models_dir, source, tmp_path, "npz", 2)
    said = unite(parts, tmp_path / "united.npz")["job"]["space"]
    assert said.startswith("tiny@")
    assert npz.space(tmp_path / "united.npz") == said
    path = job_folder(str(parts[1])) / "receipt.json"
    old = orjson.loads(path.read_bytes())
    job = {name: value for name, value in old["job"].items() if name != "space"}
    path.write_bytes(orjson.dumps(old | {"job": job}))
    assert unite(parts, tmp_path / "again.npz")["job"]["space"] == said
    path.write_bytes(orjson.dumps(old | {"job": old["job"] | {"space": "tiny@0123456789ab/fp32"}}))
    with pytest.raises(MigrateError, match="different jobs: space"):
        unite(parts, tmp_path / "never.npz")


def test_chunks_of_one_record_stay_together(models_dir: Path, tmp_path: Path) -> None:
    source = write_input(tmp_path / "texts.json", ["cat " * 20, "dog", "the " * 20, "a"])
    parts = shards(models_dir, source, tmp_path, "npy", 2, "--chunk", "8:0")
    unite(parts, tmp_path / "united.npy")
    ids = [row.id for row in read(str(tmp_path / "united.npy"), "npy")]
    assert ids == ["0#0", "0#1", "0#2", "1#0", "2#0", "2#1", "2#2", "3#0"]


def test_more_shards_than_records_leave_some_empty(models_dir: Path, tmp_path: Path) -> None:
    source = write_input(tmp_path / "texts.json", ["cat", "dog"])
    receipt = unite(shards(models_dir, source, tmp_path, "npy"), tmp_path / "united.npy")
    assert [row.id for row in read(str(tmp_path / "united.npy"), "npy")] == ["0", "1"]
    assert receipt["verified"]["least_cosine"] == pytest.approx(1, abs=1e-6)


def test_a_shard_that_is_missing_or_comes_twice_is_told(models_dir: Path, source: Path, tmp_path: Path) -> None:
    parts = shards(models_dir, source, tmp_path, "npy")
    for wrong in (parts[:2], [*parts, parts[0]]):
        with pytest.raises(MigrateError, match="needs shards 1 to 3 of 3, each once"):
            unite(wrong, tmp_path / "united.npy")


def test_a_shard_that_died_leaves_the_others_and_is_told(models_dir: Path, source: Path, tmp_path: Path) -> None:
    parts = shards(models_dir, source, tmp_path, "npy", 2)
    third = tmp_path / "late.npy"
    with killing(40), pytest.raises(Killed):
        run(models_dir, source, third, *FLAGS, "--shard", "1/2")
    with pytest.raises(MigrateError, match=r"late.npy: no receipt, so this shard is not finished"):
        unite([third, parts[1]], tmp_path / "united.npy")
    run(models_dir, source, third, *FLAGS, "--shard", "1/2")
    assert unite([third, parts[1]], tmp_path / "united.npy")["counts"]["records"] == 32


def test_shards_of_different_jobs_are_told(models_dir: Path, source: Path, tmp_path: Path) -> None:
    first = shards(models_dir, source, tmp_path, "npy", 2)[0]
    (tmp_path / "other").mkdir()
    second = shards(models_dir, source, tmp_path / "other", "npy", 2, "--dimensions", "4")[1]
    with pytest.raises(MigrateError, match="of different jobs: dimensions"):
        unite([first, second], tmp_path / "united.npy")


def test_a_record_that_is_in_no_shard_is_told(models_dir: Path, source: Path, tmp_path: Path) -> None:
    parts = shards(models_dir, source, tmp_path, "npy", 2)
    rejects = tmp_path / "shard1.npy.migrate" / "rejects.jsonl"
    rejects.write_bytes(b"".join(rejects.read_bytes().splitlines(keepends=True)[1:]))
    with pytest.raises(MigrateError, match="record 20 is in no shard"):
        unite(parts, tmp_path / "united.npy")


def test_ids_of_two_shards_that_are_equal_are_told(models_dir: Path, tmp_path: Path) -> None:
    entries = [{"id": id_, "text": "a"} for id_ in ("x", "y", "z", "x")]
    parts = shards(models_dir, write_input(tmp_path / "texts.json", entries), tmp_path, "npy", 2)
    with pytest.raises(MigrateError, match="its id is that of record 0"):
        unite(parts, tmp_path / "united.npy")


def test_a_format_without_texts_cannot_become_one_with_texts(models_dir: Path, source: Path, tmp_path: Path) -> None:
    parts = shards(models_dir, source, tmp_path, "npy", 2)
    with pytest.raises(MigrateError, match="npy holds no texts"):
        unite(parts, tmp_path / "united.jsonl")


def test_interrupted_it_is_done_again(models_dir: Path, source: Path, tmp_path: Path) -> None:
    parts = shards(models_dir, source, tmp_path, "npy", 2)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    expected = unite(parts, tmp_path / "a" / "united.npy")
    with killing(9), pytest.raises(Killed):
        unite(parts, tmp_path / "b" / "united.npy")
    unite(parts, tmp_path / "b" / "united.npy")
    for name in ("united.npy", "united.ids.jsonl"):
        assert snapshot(tmp_path / "a")[name] == snapshot(tmp_path / "b")[name]
    written = orjson.loads((tmp_path / "a" / "united.npy.migrate" / "receipt.json").read_bytes())
    assert written == expected


def test_shards_without_texts_cannot_fill_a_store(
    models_dir: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    parts = shards(models_dir, source, tmp_path, "npz", 2)
    with pytest.raises(MigrateError, match="npz holds no texts, which chroma needs; write shards as jsonl"):
        merge(options.parse(["--merge", *map(str, parts), "--output", "chroma:stores#docs"]))


def test_a_shard_that_was_damaged_on_its_way_is_told(models_dir: Path, source: Path, tmp_path: Path) -> None:
    parts = shards(models_dir, source, tmp_path, "npy", 2)
    whole = parts[0].read_bytes()
    parts[0].write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(MigrateError, match=r"shard1.npy is not what its receipt describes; copy it again"):
        unite(parts, tmp_path / "united.npy")
    parts[0].write_bytes(whole)
    ordinals = tmp_path / "shard2.npy.migrate" / "ordinals"
    ordinals.write_bytes(ordinals.read_bytes()[:-8])
    with pytest.raises(MigrateError, match="ordinals is not whole"):
        unite(parts, tmp_path / "united.npy")


def test_the_rejects_of_all_shards_are_listed_in_the_order_of_the_input(
    models_dir: Path, source: Path, tmp_path: Path
) -> None:
    run(models_dir, source, tmp_path / "whole.npy", *FLAGS)
    parts = shards(models_dir, source, tmp_path, "npy")
    receipt = unite(parts, tmp_path / "united.npy")
    expected = (tmp_path / "whole.npy.migrate" / "rejects.jsonl").read_bytes()
    assert Path(receipt["rejects"]).read_bytes() == expected
    assert expected.count(b"\n") == 3


@pytest.mark.parametrize(
    ("receipt", "said"),
    [
        (b"{}", "is no receipt"),
        (b"[]", "is no receipt"),
        (b'{"job": ', "is no receipt"),
        (b'{"job": {"shard": "1/3"}, "counts": {"rows": 4}, "files": []}', "is no receipt"),
        (None, "does not describe"),
    ],
)
def test_a_receipt_that_vouches_for_nothing_is_told(
    models_dir: Path, source: Path, tmp_path: Path, receipt: bytes | None, said: str
) -> None:
    parts = shards(models_dir, source, tmp_path, "jsonl")
    path = tmp_path / f"{parts[0].name}.migrate" / "receipt.json"
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | {"files": []}) if receipt is None else receipt)
    with pytest.raises(MigrateError, match=said):
        unite(parts, tmp_path / "united.jsonl")
