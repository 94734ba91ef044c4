"""Secrets given to real clients do not leak to error messages, journals or receipts."""

import contextlib
import io
import json
import traceback
from pathlib import Path

import pytest
from hypothesis import example, given, settings

from server import secret
from server.migrate.__main__ import main
from server.migrate.commands import open_stored
from server.migrate.errors import MigrateError
from server.secret import scrub
from tests.migrate.stores.conftest import address
from tests.serving import MINILM, MODELS
from tests.unit.server.addresses import HEAD, TAIL, addresses, leaks

pytest.importorskip("psycopg", reason="needs requirements/stores.txt")


@given(address=addresses.filter(lambda text: "pinecone" not in text))
@example(address=f"postgresql://me:{HEAD}%zz{TAIL}@127.0.0.1:1/app#docs")
@example(address=f"postgresql://127.0.0.1:1/app?password={HEAD}&{TAIL}#docs")
@example(address=f"s3://KEY:{HEAD}{TAIL}@bucket/vectors.parquet")
@example(address=f"lancedb:s3://KEY:{HEAD}{TAIL}@bucket/folder#docs")
@settings(max_examples=60)
def test_no_client_s_words_show_a_secret(address: str) -> None:
    secret.forget()
    with pytest.raises(MigrateError) as caught:
        open_stored.open_stored(address)
    # As an uncaught exception is printed: with the whole chain, the client's messages included.
    assert not leaks(scrub("".join(traceback.format_exception(caught.value))))
    assert not leaks(str(caught.value))


def test_a_password_is_in_nothing_that_a_job_leaves(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("texts.json").write_text(json.dumps(["a cat", None, "a dog"]), "utf-8")
    output = address(request, tmp_path, "pgvector").replace("postgres:@", f"postgres:{HEAD}{TAIL}@")
    environ = {"MODEL": MINILM, "MODELS_DIR": str(MODELS), "DEVICE": "cpu", "MAX_BATCH_TOKENS": "512"}
    flags = ["--input", "texts.json", "--output", output, "--on-error", "skip", "--rejects", "rejects.jsonl", "--json"]
    said = io.StringIO()
    for restart in ([], [], ["--restart"]):
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            assert main([*flags, "--quantization", "int8", *restart], environ) == 0
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"journal", "receipt.json", "rejects.jsonl"} <= {path.name for path in files}
    assert not leaks(said.getvalue() + " ".join(f"{path} {path.read_bytes()!r}" for path in files))
