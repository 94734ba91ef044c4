"""Runs the migration commands of docs/migration.md, in order, and of README.

Verbatim except for ports; Pinecone and Qdrant are fake servers, and pip finds everything installed.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.documents import checkout
from tests.documents.kinds import of_kind
from tests.documents.pages import blocks_of
from tests.migrate.stores import fake_pinecone
from tests.migrate.stores.fake_pinecone import FakePinecone
from tests.migrate.stores.fake_qdrant import FakeQdrant
from tests.migrate.stores.opening import opened
from tests.migrate.stores.rows import rows, target
from tests.serving import MINILM, MODELS, ROOT

pytest.importorskip("chromadb", reason="needs requirements/stores.txt")
pytest.importorskip("ray", reason="needs requirements/ray.txt")
arrow: Any = pytest.importorskip("pyarrow", reason="needs requirements/stores.txt")
parquet: Any = pytest.importorskip("pyarrow.parquet", reason="needs requirements/stores.txt")
psycopg: Any = pytest.importorskip("psycopg", reason="needs requirements/stores.txt")

COUNT = 30
# Names that the page's programs presuppose.
PRELUDE = "import numpy\nquery = numpy.eye(1, 384, dtype='float32')[0]\n"

TEXTS = [{"id": f"id-{number}", "text": f"text {number} about rivers and contracts"} for number in range(40)]
README_FILES = {
    "texts.json": json.dumps(TEXTS),
    "texts.jsonl": "".join(f"{json.dumps(row)}\n" for row in TEXTS),
    "texts.csv": "id,text\n" + "".join(f"{row['id']},{row['text']}\n" for row in TEXTS),
}


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("only_ray")
def test_everything_on_the_page_runs_as_it_is_written(
    tmp_path: Path, pgvector: str, chroma_server: str, qdrant_server: FakeQdrant, pinecone: FakePinecone
) -> None:
    pinecone.dimension = 384
    place = {
        "http://localhost:8100": chroma_server,
        "http://localhost:6333": qdrant_server.url,
        "QdrantClient(": f"QdrantClient(api_key={os.environ['QDRANT_API_KEY']!r}, url=",
        "postgresql://postgres@localhost:5432/app": f"{pgvector}",
        "pinecone://docs-bge-abc123.svc.region.pinecone.io": f"pinecone+{pinecone.url}",
        "https://docs-bge-abc123.svc.region.pinecone.io": pinecone.url,
        "PINECONE_API_KEY=…": f"PINECONE_API_KEY={fake_pinecone.KEY}",
    }
    checkout.make(tmp_path, {".venv-stores": ".venv-stores"})
    make_inputs(tmp_path, pgvector)
    runners: dict[str, Callable[[str], None]] = {
        "bash": lambda text: run(["bash", "-euo", "pipefail", "-c", text], tmp_path),
        "python": lambda text: run([sys.executable, "-c", PRELUDE + text], tmp_path),
        "sql": lambda text: statements(pgvector, text),
    }
    blocks = list(blocks_of(ROOT / "docs" / "migration.md"))
    assert {block.language for block in blocks} == set(runners)
    for block in blocks:
        runners[block.language](stand_in(block.text, place))


def test_readme_s_commands_are_typed_as_they_stand(tmp_path: Path, pgvector: str) -> None:
    clone = checkout.make(tmp_path, {".venv": ".venv", ".venv-stores": ".venv-stores"})
    for name, text in README_FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    with psycopg.connect(pgvector) as connection:
        connection.execute("DROP TABLE IF EXISTS docs")
    asked = of_kind("migrate", "README.md")
    assert len(asked) == 4
    for command in asked:
        text = command.text.replace("postgresql://localhost/search#docs", f"'{pgvector}#docs'")
        clone.run(text, HOME=str(clone.folder), MAX_BATCH_TOKENS="512")
    assert (clone.folder / "embeddings.npy").exists()


def stand_in(text: str, place: Mapping[str, str]) -> str:
    for written, used in place.items():
        text = text.replace(written, used)
    return text


def make_inputs(folder: Path, pgvector: str) -> None:
    """Create the inputs that the page presupposes: texts and the source store."""
    written = rows(COUNT)
    texts = [{"id": row.id, "text": row.text} for row in written]
    (folder / "your_texts.json").write_text(json.dumps(texts), "utf-8")
    parquet.write_table(arrow.Table.from_pylist(texts), folder / "your_texts.parquet")
    (folder / "stores").mkdir()
    with opened(f"chroma:{folder / 'stores' / 'chroma'}#docs", target()) as store:
        store.write(written)
        store.finish()
    with psycopg.connect(pgvector) as connection:
        connection.execute("DROP TABLE IF EXISTS docs, docs_bge, docs_minilm")
        connection.execute("CREATE TABLE docs (id text PRIMARY KEY, text text, lang text)")
        connection.execute("INSERT INTO docs VALUES ('a', 'a cat', 'en'), ('b', 'un chat', 'fr')")
    programs = folder / "bin"
    programs.mkdir()
    for name, command in (("python", sys.executable), ("pip", f"{sys.executable} -m pip --disable-pip-version-check")):
        (programs / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (programs / name).chmod(0o755)


def run(command: list[str], folder: Path) -> None:
    names = ("HOME", "LANG", "QDRANT_API_KEY", "PINECONE_API_KEY")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    environ = {
        **kept,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PIP_NO_INDEX": "1",
        **{"MODEL": MINILM, "MODELS_DIR": str(MODELS), "QUANTIZATION": "int8", "DEVICE": "cpu"},
        "MAX_BATCH_TOKENS": "512",
    }
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"


def statements(url: str, text: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(text)
