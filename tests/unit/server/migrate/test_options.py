from pathlib import Path

import pytest

from server.migrate.errors import MigrateError
from server.migrate.options import parse


def test_the_output_s_name_tells_its_format() -> None:
    assert parse(["--input", "a.json", "--output", "b.parquet"]).format == "parquet"
    assert parse(["--input", "a.json", "--output", "b.npy", "--format", "jsonl"]).format == "jsonl"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--output", "b.npy"], "--input"),
        (["--input", "a", "--merge", "b", "--output", "c.npy"], "--merge"),
        (["--input", "a"], "--output is missing"),
        (["--input", "a", "--output", "b"], "say --format"),
        (["--input", "a", "--output", "b.npy", "--chunk", "7"], "--chunk"),
        (["--input", "a", "--output", "b.npy", "--shard", "2/1"], "--shard"),
        (["--input", "a", "--output", "chroma:stores#docs", "--shard", "1/2"], "--shard writes files"),
        (["--input", "a", "--output", "b.npy", "--rejects", "missing/b.jsonl"], "there is no folder missing"),
        (["--merge", "a", "--output", "b.npy", "--output-dtype", "int8"], "keeps the type of its shards"),
        (
            ["--input", "a", "--output", "chroma:s#d", "--output-dtype", "int8"],
            "chroma holds no .* it holds float. int8",
        ),
        (["--input", "a", "--output", "p", "--format", "pinecone", "--output-dtype", "float16"], "pinecone holds no"),
        (["--input", "a", "--output", "postgresql://h/d#t", "--output-dtype", "int8"], "int8 is held by npy, .*faiss"),
        (["--input", "a", "--output", "b.faiss", "--output-dtype", "binary"], "ubinary - 128, the same bits"),
        (["--input", "a", "--output", "bad\udcff.npy"], "is not read as UTF-8"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_opened(flags: list[str], said: str) -> None:
    with pytest.raises(MigrateError, match=said):
        parse(flags)


def test_only_flags_that_are_given_stand_before_the_environment() -> None:
    options = parse(["--input", "a", "--output", "b.npy", "--quantization", "int8"])
    assert options.settings == {"QUANTIZATION": "int8"}


def test_what_cannot_change_the_result_does_not_count() -> None:
    plain = parse(["--input", "a", "--output", "b.npy"]).decisive()
    assert parse(["--input", "a", "--output", "b.npy", "--on-error", "skip", "--json"]).decisive() == plain
    for flags in (["--chunk", "64:8"], ["--dimensions", "8"], ["--no-dedupe"], ["--window", "7"], ["--shard", "1/2"]):
        assert parse(["--input", "a", "--output", "b.npy", *flags]).decisive() != plain


def test_the_journal_lies_beside_a_file_unless_told_otherwise() -> None:
    options = parse(["--input", "a", "--output", "x/b.npy"])
    assert options.folder("npy x/b.npy") == Path("x/b.npy.migrate")
    options = parse(["--input", "a", "--output", "x/b.npy", "--journal", "j"])
    assert options.folder("npy x/b.npy") == Path("j")


@pytest.mark.parametrize("flag", ["--input", "--output", "--rejects", "--journal", "--compare-with"])
@pytest.mark.parametrize("where", ["anna:Geheimwort@db/a.jsonl", "anna:Geheimwort@db"])
def test_a_login_without_a_scheme_is_no_file(flag: str, where: str) -> None:
    flags = {"--input": "a.jsonl", "--output": "b.jsonl", flag: where}
    with pytest.raises(MigrateError, match=f"{flag} anna:.*write its name as ./NAME") as caught:
        parse([word for pair in flags.items() for word in pair])
    assert "Geheimwort" not in str(caught.value)
