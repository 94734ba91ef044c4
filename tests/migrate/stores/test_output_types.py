"""Vectors of the stores' other types: read by their own clients, searched, held to the server's, kept from floats."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.migrate.__main__ import main
from server.migrate.commands.open_stored import open_stored
from server.migrate.errors import MigrateError
from server.migrate.record import Row
from server.migrate.sinks.sink import Target
from server.migrate.stores.lancedb import sink as lance_sink
from server.migrate.stores.pgvector.open import PgTable
from server.migrate.stores.registry import is_address, parse
from server.model.output_types import TYPES, OutputName, convert
from server.model.stored_codes import closeness
from server.service.output import Output
from server.verify.__main__ import main as verify
from tests.faults.migration import write_texts
from tests.migrate.stores.clients import entries
from tests.migrate.stores.conftest import address
from tests.migrate.stores.fake_qdrant import FakeQdrant
from tests.migrate.stores.opening import opened
from tests.migrate.stores.rows import rows, target
from tests.serving import MINILM, MODELS, Served

pytest.importorskip("chromadb", reason="needs requirements/stores.txt")
DIMENSION = 64
RANGE = 0.5
HELD: tuple[tuple[str, OutputName], ...] = (
    ("faiss", "float16"),
    ("faiss", "int8"),
    ("faiss", "uint8"),
    ("faiss", "ubinary"),
    ("lancedb", "float16"),
    ("lancedb", "ubinary"),
    ("pgvector", "float16"),
    ("pgvector", "ubinary"),
    ("qdrant", "float16"),
    ("qdrant", "uint8"),
    ("qdrant-server", "uint8"),
)
# Each output and each type once: a job starts an engine of its own.
JOBS: tuple[tuple[str, OutputName], ...] = (
    ("faiss", "int8"),
    ("lancedb", "ubinary"),
    ("pgvector", "float16"),
    ("pgvector", "ubinary"),
    ("qdrant", "uint8"),
    ("parquet", "float16"),
    ("parquet", "binary"),
)


def typed(count: int, name: OutputName) -> list[Row]:
    return [replace(row, vector=convert(row.vector[None], TYPES[name], RANGE)[0]) for row in rows(count, DIMENSION)]


def wanted(name: OutputName, written: int = 0) -> Target:
    return replace(target(written, DIMENSION), output=Output(TYPES[name], limit=RANGE if TYPES[name].scaled else 1.0))


@pytest.mark.parametrize(("kind", "name"), HELD)
def test_rows_are_read_back_by_the_store_s_client_as_they_were_encoded(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, name: OutputName
) -> None:
    output, written = address(request, tmp_path, kind), typed(300, name)
    with opened(output, wanted(name)) as sink:
        sink.write(written[:200])
    with opened(output, wanted(name, 200)) as sink:
        sink.write(written[200:])
        sink.finish()
        fetched = sink.fetch([(row.place, row.id) for row in written])
    held = {entry.id: entry.vector for entry in entries(output)} if kind != "qdrant-server" else fetched
    # Qdrant normalizes what it compares by cosine.
    allowed = 1e-3 if (kind, name) == ("qdrant", "float16") else 0
    for row in written:
        for vector in (fetched[row.id], held[row.id]):
            assert vector.shape == row.vector.shape
            assert np.abs(vector.astype(np.float64) - row.vector).max() <= allowed
    with closing(open_stored(output)) as stored:
        assert kind == "faiss" or stored.output().said == wanted(name).output.said


@pytest.mark.parametrize(("kind", "name"), [pair for pair in HELD if pair[0] in ("lancedb", "pgvector", "qdrant")])
def test_a_store_of_floats_takes_no_other_type_nor_the_other_way_round(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, name: OutputName
) -> None:
    pairs: tuple[tuple[OutputName, OutputName], ...] = (("float", name), (name, "float"))
    for first, second in pairs:
        output = address(request, tmp_path / first, kind)
        with opened(output, wanted(first)) as sink:
            sink.write(typed(10, first))
        refused = pytest.raises(
            MigrateError, match=rf"64 dimensions in {first}.* these are .*64 dimensions in {second}"
        )
        with refused, opened(output, wanted(second, 10)):
            pass


def test_codes_of_another_scale_are_refused_naming_both(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    output = address(request, tmp_path, "qdrant")
    with opened(output, wanted("uint8")) as sink:
        sink.write(typed(10, "uint8"))
    other = replace(wanted("uint8", 10), output=Output(TYPES["uint8"], limit=0.25))
    with pytest.raises(MigrateError, match=rf"scale {0.5 / 127!r}.* scale {0.25 / 127!r}"), opened(output, other):
        pass


@pytest.mark.parametrize(
    ("name", "column", "query"),
    [
        ("float16", "halfvec", "embedding <=> %s::halfvec(64)"),
        ("ubinary", "bit", "embedding <~> %s::bit(64)"),
    ],
)
def test_postgresql_searches_its_types_with_the_index(
    request: pytest.FixtureRequest, tmp_path: Path, name: OutputName, column: str, query: str
) -> None:
    psycopg: Any = pytest.importorskip("psycopg", reason="needs requirements/stores.txt")
    output, written = address(request, tmp_path, "pgvector"), typed(1200, name)
    with opened(output, wanted(name)) as sink:
        sink.write(written)
        sink.finish()
    url, table = output.rsplit("#", 1)
    vector = written[3].vector
    asked = "".join(map(str, np.unpackbits(vector))) if name == "ubinary" else str(vector.tolist())
    ordered = f"SELECT id FROM {table} ORDER BY {query} LIMIT 1"  # noqa: S608 - a constant name
    with psycopg.connect(url) as connection:
        connection.execute("SET enable_seqscan = off")
        plan = connection.execute(f"EXPLAIN {ordered}", (asked,)).fetchall()
        assert connection.execute(ordered, (asked,)).fetchone() == (written[3].id,)
    assert any(f"{table}_embedding_hnsw" in line for (line,) in plan)
    with closing(PgTable(parse(output))) as held:
        assert held.columns()["embedding"] == column


@pytest.mark.parametrize(("name", "metric"), [("float16", "cosine"), ("ubinary", "hamming")])
def test_lancedb_searches_its_types_with_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: OutputName, metric: str
) -> None:
    lancedb: Any = pytest.importorskip("lancedb", reason="needs requirements/stores.txt")
    monkeypatch.setattr(lance_sink, "INDEXED_FROM", 400)
    written = typed(400, name)
    with opened(f"lancedb:{tmp_path}#docs", wanted(name)) as sink:
        sink.write(written)
        sink.finish()
    table = lancedb.connect(str(tmp_path)).open_table("docs")
    assert len(table.list_indices()) == 1
    [nearest] = table.search(written[5].vector, vector_column_name="vector").metric(metric).limit(1).to_list()
    assert nearest["id"] == written[5].id


@pytest.mark.parametrize("name", ["float16", "int8", "uint8", "ubinary"])
def test_faiss_finds_each_row_by_its_own_codes(tmp_path: Path, name: OutputName) -> None:
    faiss: Any = pytest.importorskip("faiss", reason="needs requirements/stores.txt")
    written = typed(200, name)
    with opened(str(tmp_path / "index.faiss"), wanted(name)) as sink:
        sink.write(written)
        sink.finish()
    binary = name == "ubinary"
    index = (faiss.read_index_binary if binary else faiss.read_index)(str(tmp_path / "index.faiss"))
    asked = np.stack([row.vector for row in written])
    _, nearest = index.search(asked if binary else asked.astype(np.float32), 1)
    assert nearest[:, 0].tolist() == list(range(200))


@pytest.mark.parametrize("name", ["float16", "int8", "ubinary"])
def test_a_faiss_index_without_its_receipt_says_its_type_or_is_refused(tmp_path: Path, name: OutputName) -> None:
    pytest.importorskip("faiss", reason="needs requirements/stores.txt")
    with opened(str(tmp_path / "index.faiss"), wanted(name)) as sink:
        sink.write(typed(10, name))
        sink.finish()
    with closing(open_stored(str(tmp_path / "index.faiss"))) as stored:
        if name == "int8":
            with pytest.raises(MigrateError, match=r"keep index\.faiss\.migrate beside it"):
                stored.output()
        else:
            assert stored.output().kind.name == name


def test_bits_that_others_stored_are_read_as_bits(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    psycopg: Any = pytest.importorskip("psycopg", reason="needs requirements/stores.txt")
    lancedb: Any = pytest.importorskip("lancedb", reason="needs requirements/stores.txt")
    pa: Any = pytest.importorskip("pyarrow", reason="needs requirements/stores.txt")
    lancedb.connect(str(tmp_path)).create_table(
        "docs", pa.table({"id": ["a"], "vector": pa.array([[1, 255]], pa.list_(pa.uint8(), 2))})
    )
    with closing(open_stored(f"lancedb:{tmp_path}#docs")) as stored:
        assert stored.output().kind.name == "ubinary"
    output = address(request, tmp_path, "pgvector")
    url, table = output.rsplit("#", 1)
    for bits in (16, 12):
        with psycopg.connect(url) as connection:
            connection.execute(f"DROP TABLE IF EXISTS {table}")
            connection.execute(f"CREATE TABLE {table} (id text PRIMARY KEY, embedding bit({bits}))")
        with closing(open_stored(output)) as stored:
            if bits % 8:
                with pytest.raises(MigrateError, match="12 bits, which is not divisible by 8"):
                    stored.output()
            else:
                assert stored.output().kind.name == "ubinary"


def test_qdrant_stores_the_datatype_that_was_asked_for(qdrant_server: FakeQdrant) -> None:
    for name, datatype, distance in (("uint8", "uint8", "Euclid"), ("float16", "float16", "Cosine")):
        with opened(f"qdrant+{qdrant_server.url}#{name}", wanted(name)):  # type: ignore[arg-type]
            vectors = qdrant_server.local.get_collection(name).config.params.vectors
            assert (vectors.datatype, vectors.distance) == (datatype, distance)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_texts(tmp_path_factory.mktemp("texts") / "texts.json", 30)


@pytest.mark.parametrize(("kind", "name"), JOBS)
def test_a_job_writes_what_the_server_answers_and_verifies_it(
    request: pytest.FixtureRequest, tmp_path: Path, source: Path, fp32: Served, kind: str, name: OutputName
) -> None:
    output = str(tmp_path / "out.parquet") if kind == "parquet" else address(request, tmp_path, kind)
    environ = {"MODEL": MINILM, "MODELS_DIR": str(MODELS), "DEVICE": "cpu", "MAX_BATCH_TOKENS": "512"}
    flags = ("--input", str(source), "--output", output, "--journal", str(tmp_path / "journal"))
    assert main([*flags, "--quantization", "fp32", "--output-dtype", name], environ) == 0
    given = json.loads(source.read_bytes())
    ids, texts = [row["id"] for row in given], [row["text"] for row in given]
    answered = np.array(fp32.embed(texts, output_dtype=name))
    floats = np.array(fp32.embed(texts), np.float32)
    held = {entry.id: entry.vector for entry in entries(output)}
    stored = np.stack([held[id_] for id_ in ids])
    # Two batches may round a component to two neighbouring codes, or flip a bit whose component is next to zero.
    assert (np.abs(stored - answered) > (1e-3 if name == "float16" else 0)).mean() < 0.02
    if TYPES[name].scaled or TYPES[name].packed:
        scale = json.loads((tmp_path / "journal" / "receipt.json").read_bytes())["job"].get("scale", "")
        assert closeness(stored, floats, TYPES[name], Output.stored(name, scale).limit).min() > 0.99999
    if is_address(output) or kind == "parquet":
        assert verify([output], {**environ, "QUANTIZATION": "fp32"}) == 0
