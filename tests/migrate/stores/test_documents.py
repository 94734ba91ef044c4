"""The documents' commands and examples that migrate, section by section as they stand there; only addresses differ.

The texts are a few, the model is all-MiniLM-L6-v2, Qdrant's and Pinecone's servers are those of these tests.
"""

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from server.migrate.__main__ import main
from tests.documents import checkout
from tests.documents.checkout import Checkout
from tests.documents.kinds import kind, of_kind
from tests.documents.pages import Block, blocks, commands_of

if TYPE_CHECKING:
    from tests.migrate.stores.fake_pinecone import FakePinecone
    from tests.migrate.stores.fake_qdrant import FakeQdrant

psycopg = pytest.importorskip("psycopg", reason="needs requirements/stores.txt")
qdrant_client = pytest.importorskip("qdrant_client", reason="needs requirements/stores.txt")
PAGE = "docs/migration.md"
RUNNABLE = [block for block in blocks() if block.page == PAGE and block.language in ("bash", "python", "sql")]
SECTIONS = list(dict.fromkeys(block.section for block in RUNNABLE))
TEXTS = [{"id": f"id-{number}", "text": f"text {number} about rivers and contracts"} for number in range(40)]
FILES = {
    "your_texts.json": json.dumps(TEXTS),
    "texts.json": json.dumps(TEXTS),
    "texts.jsonl": "".join(f"{json.dumps(row)}\n" for row in TEXTS),
    "texts.csv": "id,text\n" + "".join(f"{row['id']},{row['text']}\n" for row in TEXTS),
}
POSTGRES = "postgresql://postgres@localhost:5432/app"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A fresh checkout, with the texts that the pages speak of."""
    made = checkout.make(tmp_path, {".venv": ".venv", ".venv-stores": ".venv-stores"})
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    return made


@pytest.fixture
def addresses(
    pgvector: str, chroma_server: str, qdrant_server: "FakeQdrant", pinecone: "FakePinecone"
) -> dict[str, str]:
    """What the page writes, and what stands for it here."""
    pinecone.dimension = 384
    with psycopg.connect(pgvector) as connection:
        connection.execute("DROP TABLE IF EXISTS docs, docs_bge, docs_minilm")
    return {
        "chroma+http://localhost:8100": f"chroma+{chroma_server}",
        "qdrant+http://localhost:6333": f"qdrant+{qdrant_server.url}",
        POSTGRES: pgvector,
        "pinecone://docs-bge-abc123.svc.region.pinecone.io": f"pinecone+{pinecone.url}",
        "https://docs-bge-abc123.svc.region.pinecone.io": pinecone.url,
    }


def migrate(here: Checkout, command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run one command in this process, which has the clients imported already."""
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "server.migrate"]
    status = main(words[3:], here.environment(MAX_BATCH_TOKENS="512"))
    said = capsys.readouterr()
    assert status == 0, f"{command}\n{said.err}"
    return said.out


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_does_what_it_says(
    here: Checkout, addresses: dict[str, str], capsys: pytest.CaptureFixture[str], section: str
) -> None:
    mine = [block for block in RUNNABLE if block.section == section]
    for target in given(mine):
        migrate(
            here, f"python -m server.migrate --input your_texts.json --output '{addressed(target, addresses)}'", capsys
        )
    for block in mine:
        if block.language == "python":
            example(here, block, addresses)
        elif block.language == "sql":
            switch(block, addresses[POSTGRES])
        for command in commands_of(block) if block.language == "bash" else []:
            if kind(command) == "migrate" and not command.text.startswith("export"):
                said = migrate(here, addressed(command.text, addresses), capsys)
                assert "--compare-with" not in command.text or "10 nearest" in said


def given(mine: list[Block]) -> list[str]:
    """What a reader has before a section: the old collection, and where it is compared the new one."""
    text = "\n".join(block.text for block in mine)
    old = (
        ["chroma:stores/chroma#docs"]
        if re.search(r"(--input|--compare-with) chroma:stores/chroma#docs\b", text)
        else []
    )
    new = ["chroma:stores/chroma#docs_bge"] if "--compare-with" in text else []
    return [*old, *new, *([f"{POSTGRES}#docs"] if "ALTER TABLE" in text else [])]


def addressed(text: str, addresses: dict[str, str]) -> str:
    for written, here in addresses.items():
        text = text.replace(written, here)
    return text


def example(here: Checkout, block: Block, addresses: dict[str, str]) -> None:
    """Run an example in Python; what stands around it in a reader's program is given."""
    text = addressed(block.text, addresses).replace('QdrantClient("http://localhost:6333")', "client")
    names: dict[str, Any] = {}
    if "faiss" in text:
        import numpy as np  # noqa: PLC0415 - only this example needs it

        names["query"] = np.load(here.folder / "embeddings_new.npy")[3]
    if "qdrant_client" in text:
        names["client"] = qdrant_client.QdrantClient(path=str(here.folder / "stores" / "qdrant"))
    exec(text, names)  # noqa: S102 - our own page
    if "faiss" in text:
        assert names["ids"][names["rows"][0][0]] == "id-3"
    elif "qdrant_client" in text:
        assert [alias.alias_name for alias in names["client"].get_aliases().aliases] == ["docs"]
        names["client"].close()
    else:
        assert names["index"].describe_index_stats().namespaces["docs"].vector_count == len(TEXTS)


def switch(block: Block, url: str) -> None:
    """Run an example in SQL: both tables change their names at once."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in block.text.splitlines():
            connection.execute(statement.encode())
        found = connection.execute("SELECT (SELECT count(*) FROM docs), (SELECT count(*) FROM docs_minilm)").fetchone()
    assert found == (len(TEXTS), len(TEXTS))


def test_readme_s_commands_are_typed_as_they_stand(here: Checkout, addresses: dict[str, str]) -> None:
    asked = of_kind("migrate", "README.md")
    assert len(asked) == 4
    for command in asked:
        text = command.text.replace("postgresql://localhost/search#docs", f"'{addresses[POSTGRES]}#docs'")
        here.run(text, HOME=str(here.folder), MAX_BATCH_TOKENS="512")
    assert (here.folder / "embeddings.npy").exists()
