"""Secrets in the addresses of a migration do not leak to any output."""

import contextlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies

from server import secret
from server.migrate.__main__ import VISIBLE, main
from server.migrate.errors import MigrateError
from server.migrate.job import journal
from server.migrate.stores.address import Address
from server.migrate.stores.registry import STORES, parse
from tests.unit.server import tiny
from tests.unit.server.addresses import HEAD, TAIL, addresses, leaks

FLAGS = (
    ["--input", "{}", "--output", "o.npy"],
    ["--input", "{}", "--output", "o.npy", "--input-format", "jsonl"],
    ["--input={}", "--dry-run"],
    ["--input", "missing.json", "--output", "{}"],
    ["--input", "missing.json", "--output", "{}", "--format", "npy"],
    ["--input", "texts.json", "--output", "o.npy", "--compare-with", "{}"],
    ["--input", "texts.json", "--output", "o.npy", "--rejects", "{}"],
    ["--input", "texts.json", "--output", "o.npy", "--journal", "{}"],
    ["--merge", "a.jsonl", "{}", "--output", "o.npy"],
    ["--merge", "a.jsonl", "b.jsonl", "--output", "{}"],
    ["--input", "texts.json", "--output", "o.npy", "--inptu", "{}"],
    ["--input", "{}", "--output", "{}", "--window", "none"],
    ["--input", "{}", "--output", "{}", "--engine", "ray", "--format", "parquet", "--shard", "1/2"],
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not leaks(" ".join(map(str, tmp_path.rglob("*"))))


def said(flags: list[str], environ: dict[str, str]) -> str:
    """Run a command; return what it prints to stdout and stderr."""
    streams = io.StringIO()
    with contextlib.redirect_stdout(streams), contextlib.redirect_stderr(streams), contextlib.suppress(SystemExit):
        assert main(flags, environ) != 0
    return streams.getvalue()


@given(address=addresses, flags=strategies.sampled_from(FLAGS))
@example(address=f"postgresql://u:{HEAD}%zz{TAIL}@h/db#t", flags=FLAGS[0])
@example(address=f"lancedb:s3://KEY:{HEAD}{TAIL}@bucket/x#t", flags=FLAGS[3])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_refusal_and_no_name_of_a_file_shows_a_secret(folder: Path, address: str, flags: list[str]) -> None:
    secret.forget()
    shown = said([flag.format(address) if "{" in flag else flag for flag in flags], {"MODELS_DIR": "none"})
    assert shown
    assert not leaks(shown)
    for path in folder.rglob("*"):
        assert not leaks(str(path) + (path.read_text("utf-8", "replace") if path.is_file() else ""))


@given(address=addresses)
def test_the_identity_that_journals_and_receipts_keep_shows_no_secret(address: str) -> None:
    secret.forget()
    kept: Address | None = None
    with contextlib.suppress(MigrateError):
        kept = parse(address)
    assert not leaks(f"{kept} {kept!r}")


@pytest.mark.parametrize(
    "address", ["lancedb:s3://KEY:hidden@bucket/x#docs", "lancedb:s3://bucket/x?secret_access_key=hidden#docs"]
)
def test_a_key_of_an_object_store_is_sent_to_the_environment(address: str) -> None:
    with pytest.raises(MigrateError, match=STORES["lancedb"].form.key):
        parse(address)


def test_a_journal_of_an_earlier_version_is_refused_in_words_that_show_no_secret() -> None:
    recorded = {"target": "lancedb:s3://KEY:hidden@bucket/x#docs"}
    (line,) = journal.differences(recorded, {"target": "lancedb:s3://bucket/x#docs"})
    assert line == "target was lancedb:***@bucket/x#docs, is lancedb:s3://bucket/x#docs"


@pytest.mark.usefixtures("folder")
def test_a_secret_on_the_command_line_is_warned_of() -> None:
    assert VISIBLE in said(["--input", f"postgresql://u:{HEAD}@127.0.0.1/db#t", "--output", "o.npy"], {})
    assert VISIBLE not in said(["--input", "postgresql://u@127.0.0.1/db#t", "--output", "o.npy"], {})


@pytest.mark.usefixtures("folder")
def test_a_summary_shows_no_secret_that_a_path_happens_to_hold(
    models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(HEAD).mkdir()
    Path("texts.json").write_text(json.dumps(["a"]), "utf-8")
    environ = {"MODEL": tiny.NAME, "MODELS_DIR": str(models_dir), "THREADS": "1", "PGPASSWORD": HEAD}
    for flags in ([], ["--json"]):
        assert main(["--input", "texts.json", "--output", f"{HEAD}/o.npy", *flags], environ) == 0
        assert "***" in (shown := capsys.readouterr().out)
        assert not leaks(shown)
    os.rename(HEAD, "kept")  # noqa: PTH104 - the folder has a secret in its name
