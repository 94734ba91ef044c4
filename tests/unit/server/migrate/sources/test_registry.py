from pathlib import Path

import pytest

from server.migrate.errors import MigrateError
from server.migrate.sources.registry import guess, open_source


@pytest.mark.parametrize(
    ("name", "format_"),
    [("a.json", "json"), ("a.JSONL.gz", "jsonl"), ("a.tsv.zst", "csv"), ("a.txt", "lines"), ("a.parquet", "parquet")],
)
def test_the_name_of_a_file_tells_its_format(tmp_path: Path, name: str, format_: str) -> None:
    (tmp_path / name).touch()
    assert guess(str(tmp_path / name)) == format_


def test_a_folder_is_one_of_text_files(tmp_path: Path) -> None:
    assert guess(str(tmp_path)) == "folder"


def test_what_cannot_be_told_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "texts").touch()
    with pytest.raises(MigrateError, match="say --input-format"):
        guess(str(tmp_path / "texts"))
    with pytest.raises(MigrateError, match="no such file"):
        guess(str(tmp_path / "missing.json"))


def test_standard_input_is_refused_since_it_cannot_be_read_again() -> None:
    with pytest.raises(MigrateError, match="save it to a file"):
        open_source("-", "lines", {})


@pytest.mark.parametrize("where", ["lancedb:stores/lancedb#docs", "pinecone://index.svc.pinecone.io#docs"])
def test_a_store_that_is_only_written_is_named_as_such(where: str) -> None:
    with pytest.raises(MigrateError, match="no store that texts are read from; those are chroma, pgvector, qdrant"):
        guess(where)
