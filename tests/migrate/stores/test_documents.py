"""README's commands that migrate, typed as they stand there; only the database's address differs."""

import json
from pathlib import Path

import pytest

from tests.documents import checkout
from tests.documents.checkout import Checkout
from tests.documents.kinds import of_kind

psycopg = pytest.importorskip("psycopg", reason="needs requirements/stores.txt")
TEXTS = [{"id": f"id-{number}", "text": f"text {number} about rivers and contracts"} for number in range(40)]
FILES = {
    "texts.json": json.dumps(TEXTS),
    "texts.jsonl": "".join(f"{json.dumps(row)}\n" for row in TEXTS),
    "texts.csv": "id,text\n" + "".join(f"{row['id']},{row['text']}\n" for row in TEXTS),
}


@pytest.fixture
def here(tmp_path: Path) -> Checkout:
    """A fresh checkout, with the texts that the page speaks of."""
    made = checkout.make(tmp_path, {".venv": ".venv", ".venv-stores": ".venv-stores"})
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    return made


def test_readme_s_commands_are_typed_as_they_stand(here: Checkout, pgvector: str) -> None:
    asked = of_kind("migrate", "README.md")
    assert len(asked) == 4
    with psycopg.connect(pgvector) as connection:
        connection.execute("DROP TABLE IF EXISTS docs")
    for command in asked:
        text = command.text.replace("postgresql://localhost/search#docs", f"'{pgvector}#docs'")
        here.run(text, HOME=str(here.folder), MAX_BATCH_TOKENS="512")
    assert (here.folder / "embeddings.npy").exists()
