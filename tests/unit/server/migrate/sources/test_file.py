import gzip
from pathlib import Path

import pytest

from server.migrate.errors import MigrateError
from server.migrate.inputs import open_source
from server.migrate.sources.lines import make


def test_another_content_is_another_input(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("a\n")
    first = make(str(path), {}).identity()
    path.write_text("b\n")
    assert make(str(path), {}).identity() != first


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("a\nb\n")
    source = make(str(path), {})
    source.identity()
    records = source.records(0)
    next(records)
    path.write_text("a\nb\nc\n")
    with pytest.raises(MigrateError, match="changed while it was read"):
        list(records)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MigrateError, match=r"texts.txt cannot be read: No such file"):
        make(str(tmp_path / "texts.txt"), {}).identity()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a\n".encode("utf-16"), "UTF-16"),
        ("text\n".encode("utf-16-le"), "UTF-16"),
        ("text\n".encode("utf-16-be"), "UTF-16"),
        ("text\n".encode("utf-32-le"), "UTF-32"),
        (b"PK\x03\x04...", "zip archive or a spreadsheet"),
        (b"BZh91AY&SY...", "bzip2"),
        (b"\xfd7zXZ\0...", "xz"),
        (b"PAR1...", "say --input-format parquet"),
        (b"%PDF-1.7", "PDF"),
        (b"a.jsonl" + b"\0" * 250 + b"ustar\0", "tar archive"),
    ],
)
@pytest.mark.parametrize("format_", ["lines", "json", "jsonl", "csv"])
def test_a_file_that_is_no_text_is_refused_with_what_it_is(
    tmp_path: Path, format_: str, content: bytes, said: str
) -> None:
    for packed in (content, gzip.compress(content)):
        (tmp_path / "texts").write_bytes(packed)
        with pytest.raises(MigrateError, match=said):
            list(open_source(str(tmp_path / "texts"), format_, {}).records(0))


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_bytes("id;text\n1;süß\n".encode("cp1252"))
    with pytest.raises(MigrateError, match=r"not UTF-8 .*iconv -f WINDOWS-1252 -t UTF-8"):
        list(open_source(str(path), None, {}).records(0))
