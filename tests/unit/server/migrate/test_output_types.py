"""Jobs that write vectors of another type than float32, on a tiny model with ranges."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from server.errors import InvalidError
from server.migrate import options
from server.migrate.__main__ import main as migrate
from server.migrate.commands import dry_run
from server.migrate.commands.compare import compare_stores
from server.migrate.commands.merge import merge
from server.migrate.commands.open_stored import open_stored
from server.migrate.errors import MigrateError
from server.migrate.outputs import read
from server.model.output_types import OUTPUT_NAMES, TYPES, OutputName, convert
from server.service.output import Output
from server.verify.__main__ import main as verify
from server.verify.store import Sample, code_agreement
from tests.unit.server import tiny
from tests.unit.server.migrate.jobs import run, settings, texts, write_input

RANGE = 0.75
RANGES = [1.0] * (tiny.DIMENSION - 1) + [RANGE]
TYPED = OUTPUT_NAMES[1:]


@pytest.fixture
def ranged(models_dir: Path) -> Path:
    """The folder of a model with int8 ranges."""
    tiny.write_manifest(models_dir, changes={"int8_ranges": RANGES})
    return models_dir


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_input(tmp_path / "texts.json", texts(40))


@pytest.fixture
def plain(ranged: Path, source: Path, tmp_path: Path) -> Path:
    """The same texts in float32."""
    run(ranged, source, tmp_path / "plain.jsonl")
    return tmp_path / "plain.jsonl"


def typed(models_dir: Path, source: Path, output: Path, kind: str, *flags: str) -> dict[str, Any]:
    return run(models_dir, source, output, "--output-dtype", kind, *flags)


def environ(models_dir: Path) -> dict[str, str]:
    return {"MODEL": tiny.NAME, "MODELS_DIR": str(models_dir), "DEVICE": "cpu", "THREADS": "1"}


def edit(path: Path, change: Callable[[dict[str, Any]], object], lines: slice = slice(None)) -> None:
    rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    for row in rows[lines]:
        change(row)
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))


@pytest.mark.parametrize("name", ["npy", "npz", "jsonl"])
@pytest.mark.parametrize("kind", TYPED)
def test_a_file_holds_what_the_server_s_encoder_makes_of_the_float_vectors(
    ranged: Path, source: Path, plain: Path, tmp_path: Path, name: str, kind: OutputName
) -> None:
    output = tmp_path / f"out.{name}"
    receipt = typed(ranged, source, output, kind)
    expected = convert(np.stack([row.vector for row in read(str(plain), "jsonl")]), TYPES[kind], RANGE)
    held = np.stack([row.vector for row in read(str(output), name)])
    assert np.array_equal(held, expected)
    assert name == "jsonl" or held.dtype == expected.dtype
    assert receipt["job"]["output dtype"] == kind
    assert receipt["job"].get("scale") == (repr(RANGE / 127) if TYPES[kind].scaled else None)
    assert receipt["verified"]["least_cosine"] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("kind", TYPED)
def test_verify_finds_a_typed_store_right_and_a_foreign_row_in_it(
    ranged: Path, source: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.jsonl"
    typed(ranged, source, output, kind)
    assert verify([str(output)], environ(ranged)) == 0
    assert f"vectors are stored as {kind}" in capsys.readouterr().out
    edit(output, lambda row: row.update(embedding=[-value for value in row["embedding"]]), slice(7, 8))
    assert verify([str(output)], environ(ranged)) in (1, 2)


@pytest.mark.parametrize("kind", ["int8", "ubinary"])
def test_cut_vectors_are_verified_and_compared_in_their_type(
    ranged: Path, source: Path, plain: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.jsonl"
    receipt = typed(ranged, source, output, kind, *(("--dimensions", "4") if kind == "int8" else ()))
    assert receipt["job"].get("scale", repr(1 / 127)) == repr(1 / 127)
    assert verify([str(output)], environ(ranged)) == 0
    assert ("cut to 4 dimensions" in capsys.readouterr().out) == (kind == "int8")
    assert compare_stores(str(output), str(output)).overlap == 1
    assert compare_stores(str(plain), str(output)).overlap < 1


def test_numbers_that_are_no_codes_are_said_in_words(
    ranged: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.jsonl"
    typed(ranged, source, output, "uint8")
    edit(output, lambda row: row.update(embedding=[0.5] * tiny.DIMENSION), slice(7, 8))
    assert verify([str(output)], environ(ranged)) == 1
    said = capsys.readouterr().out
    assert "1 hold numbers that are no codes of uint8, such as 7" in said
    assert "1 of 40 (2.5%) differ" in said
    with pytest.raises(MigrateError, match="no codes of uint8"):
        compare_stores(str(output), str(output))


@pytest.mark.parametrize("broken", [np.nan, np.inf, 0.0])
@pytest.mark.parametrize("kind", ["int8", "ubinary"])
def test_an_answer_that_is_no_direction_agrees_with_no_codes(broken: float, kind: OutputName) -> None:
    units = np.eye(8, dtype=np.float32)[:2]
    again = units * np.float32(3)
    form = Output(TYPES[kind], limit=1.0)
    drawn = Sample(["a", "b"], ["a", "b"], convert(units, form.kind), form, "")
    assert code_agreement(drawn, again, np.array([True, True]), 0.98).differing == ()
    again[1] = broken
    assert code_agreement(drawn, again, np.array([True, True]), 0.98).differing == ("b",)


@pytest.mark.parametrize(("name", "kind"), [("npy", "ubinary"), ("npy", "int8"), ("jsonl", "uint8")])
def test_codes_are_read_by_the_receipt_wherever_it_is_and_never_without(
    ranged: Path, source: Path, tmp_path: Path, name: str, kind: str
) -> None:
    output, journal = tmp_path / f"out.{name}", tmp_path / "journal"
    typed(ranged, source, output, kind, "--journal", str(journal))
    with closing(open_stored(str(output), journal)) as stored:
        assert stored.output().kind.name == kind
    with closing(open_stored(str(output))) as stored, pytest.raises(MigrateError, match=f"keep out.{name}.migrate"):
        stored.output()
    journal.rename(tmp_path / f"out.{name}.migrate")
    with closing(open_stored(str(output))) as stored:
        assert stored.output().kind.name == kind


def test_a_comparison_reads_the_type_from_the_job_s_own_folder(
    ranged: Path, source: Path, plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--input", str(source), "--output", str(tmp_path / "out.npy"), "--journal", str(tmp_path / "journal"))
    compared = ("--output-dtype", "int8", "--compare-with", str(plain))
    assert migrate([*flags, *compared], environ(ranged)) == 0
    assert "mean overlap" in capsys.readouterr().out


def test_float_files_need_no_receipt(ranged: Path, source: Path, tmp_path: Path) -> None:
    for name in ("npy", "jsonl"):
        run(ranged, source, tmp_path / f"out.{name}", "--journal", str(tmp_path / name))
        with closing(open_stored(str(tmp_path / f"out.{name}"))) as stored:
            assert stored.output().kind.name == "float"


def test_a_job_goes_on_only_in_its_own_type_and_scale(ranged: Path, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.npy"
    typed(ranged, source, output, "int8")
    with pytest.raises(MigrateError, match="output dtype was int8, is float"):
        run(ranged, source, output)
    tiny.write_manifest(ranged, changes={"int8_ranges": [1.0] * tiny.DIMENSION})
    with pytest.raises(MigrateError, match=rf"scale was {RANGE / 127!r}, is {1 / 127!r}"):
        typed(ranged, source, output, "int8")


@pytest.mark.parametrize(
    ("kind", "flags", "said"),
    [
        ("int8", (), "built without"),
        ("uint8", (), "built without"),
        ("ubinary", ("--dimensions", "6"), "divisible by 8"),
    ],
)
def test_what_the_model_cannot_give_is_refused_before_anything_is_written(
    models_dir: Path, source: Path, tmp_path: Path, kind: str, flags: tuple[str, ...], said: str
) -> None:
    with pytest.raises(InvalidError, match=said):
        typed(models_dir, source, tmp_path / "out.npy", kind, *flags)
    assert not list(tmp_path.glob("out.npy*/vectors"))
    assert not (tmp_path / "out.npy").exists()


def shards(models_dir: Path, source: Path, folder: Path, *kinds: str) -> list[Path]:
    made = [folder / f"shard{index}.jsonl" for index in range(1, len(kinds) + 1)]
    for index, (path, kind) in enumerate(zip(made, kinds, strict=True), 1):
        typed(models_dir, source, path, kind, "--shard", f"{index}/{len(kinds)}")
    return made


def unite(parts: list[Path], output: Path | str) -> dict[str, Any]:
    journal = ("--journal", str(parts[0].with_name("union")))
    return merge(options.parse(["--merge", *map(str, parts), "--output", str(output), *journal]))


@pytest.mark.parametrize("kind", ["int8", "binary"])
def test_shards_of_a_type_are_merged_in_it(ranged: Path, source: Path, tmp_path: Path, kind: str) -> None:
    typed(ranged, source, tmp_path / "whole.npy", kind)
    receipt = unite(shards(ranged, source, tmp_path, kind, kind), tmp_path / "united.npy")
    assert receipt["job"]["output dtype"] == kind
    assert (tmp_path / "united.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_shards_of_different_types_are_not_merged_nor_into_a_store_that_lacks_their_type(
    ranged: Path, source: Path, tmp_path: Path
) -> None:
    mixed = shards(ranged, source, tmp_path, "int8", "float")
    for order in (mixed, mixed[::-1]):
        with pytest.raises(MigrateError, match="different jobs: output dtype"):
            unite(order, tmp_path / "united.jsonl")
    (tmp_path / "other").mkdir()
    with pytest.raises(MigrateError, match="chroma holds no vectors of type int8"):
        unite(shards(ranged, source, tmp_path / "other", "int8", "int8"), f"chroma:{tmp_path / 'chroma'}#docs")


def test_an_estimate_counts_the_bytes_of_the_type(ranged: Path, source: Path) -> None:
    sizes = {}
    for kind in OUTPUT_NAMES:
        asked = options.parse(["--input", str(source), "--dry-run", "--output-dtype", kind])
        sizes[kind] = dry_run.estimate(asked, settings(ranged, asked))["vector_bytes"] / 40
    assert sizes == {"float": 32, "float16": 16, "int8": 8, "uint8": 8, "binary": 1, "ubinary": 1}
