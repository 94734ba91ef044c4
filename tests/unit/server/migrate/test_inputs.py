import os
from pathlib import Path

import pytest

from server.migrate.errors import MigrateError
from server.migrate.inputs import guess, open_source
from server.migrate.record import Record


@pytest.mark.parametrize(
    ("name", "format_"),
    [("a.json", "json"), ("a.JSONL.gz", "jsonl"), ("a.tsv.zst", "csv"), ("a.txt", "lines"), ("a.parquet", "parquet")],
)
def test_the_name_of_a_file_tells_its_format(tmp_path: Path, name: str, format_: str) -> None:
    (tmp_path / name).touch()
    assert guess(str(tmp_path / name)) == format_


def test_a_folder_is_one_of_text_files(tmp_path: Path) -> None:
    assert guess(str(tmp_path)) == "folder"


def test_a_folder_of_files_of_records_is_one_of_their_format(tmp_path: Path) -> None:
    for name in ("part-0.jsonl.gz", "deep/part-1.jsonl", "_SUCCESS", ".part-0.jsonl.crc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert guess(str(tmp_path)) == "jsonl"
    (tmp_path / "readme.txt").touch()
    with pytest.raises(MigrateError, match=r"more than one kind, such as deep/part-1.jsonl and readme.txt"):
        guess(str(tmp_path))


def test_the_files_of_a_folder_are_read_as_one_input(tmp_path: Path) -> None:
    (tmp_path / "part-1.csv").write_text("id,text\nz,c\n")
    (tmp_path / "part-0.csv").write_text("text,id\na,x\nb,y\n")
    source = open_source(str(tmp_path), None, {})
    assert list(source.records(1)) == [Record(1, "y", "b"), Record(2, "z", "c")]
    first = source.identity()
    assert first.startswith(f"{tmp_path.resolve()}, 2 files, SHA-256 ")
    (tmp_path / "part-2.csv").write_text("id,text\n")
    with pytest.raises(MigrateError, match="changed while it was read"):
        list(source.records(0))
    assert source.identity() != first


def test_what_cannot_be_told_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "texts").touch()
    with pytest.raises(MigrateError, match="say --input-format"):
        guess(str(tmp_path / "texts"))
    with pytest.raises(MigrateError, match="no such file"):
        guess(str(tmp_path / "missing.json"))


def test_standard_input_is_refused_since_it_cannot_be_read_again() -> None:
    with pytest.raises(MigrateError, match="save it to a file"):
        open_source("-", "lines", {})


def test_a_pipe_is_refused_since_it_cannot_be_read_again(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "texts.txt")
    with pytest.raises(MigrateError, match="a pipe or a device"):
        open_source(str(tmp_path / "texts.txt"), None, {})


@pytest.mark.parametrize("where", ["lancedb:stores/lancedb#docs", "pinecone://index.svc.pinecone.io#docs"])
def test_a_store_that_is_only_written_is_named_as_such(where: str) -> None:
    with pytest.raises(MigrateError, match="no store that texts are read from; those are chroma, pgvector, qdrant"):
        guess(where)
