"""Every format read by its own client, as applications do: ids, order, texts, metadata, vectors."""

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from server.migrate.errors import MigrateError
from server.migrate.record import Row
from server.migrate.stores.lancedb import sink as lance_sink
from tests.migrate.stores.fake_pinecone import FakePinecone
from tests.migrate.stores.fake_qdrant import FakeQdrant
from tests.migrate.stores.opening import opened
from tests.migrate.stores.rows import rows, target, vectors

chromadb = pytest.importorskip("chromadb", reason="needs requirements/stores.txt")


def fill(output: str, written: list[Row]) -> None:
    with opened(output, target(dimension=len(written[0].vector))) as sink:
        sink.write(written)
        sink.finish()


def test_faiss_searches_rows_in_the_order_of_the_input(tmp_path: Path) -> None:
    faiss = pytest.importorskip("faiss", reason="needs requirements/stores.txt")
    written = rows(500)
    fill(str(tmp_path / "index.faiss"), written)
    index = faiss.read_index(str(tmp_path / "index.faiss"))
    _, nearest = index.search(np.stack([row.vector for row in written]), 1)
    assert nearest[:, 0].tolist() == [row.place for row in written]
    ids = [json.loads(line) for line in (tmp_path / "index.faiss.ids.jsonl").read_text("utf-8").splitlines()]
    assert ids == [row.id for row in written]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.faiss", "index.faiss.ids.jsonl"]


@pytest.mark.parametrize("output", ["chroma", "chroma-server"], indirect=True)
def test_chroma_answers_queries_over_more_rows_than_it_takes_at_once(output: str) -> None:
    place, name = output.rsplit("#", 1)
    written = rows(6000)
    fill(output, written)
    client = _chroma(place)
    assert client.get_max_batch_size() < len(written)
    collection = client.get_collection(name, embedding_function=None)
    assert collection.count() == len(written)
    odd = written[1]
    nearest = collection.query(query_embeddings=[odd.vector], n_results=1, include=["documents", "metadatas"])
    assert (nearest["ids"], nearest["documents"]) == ([[odd.id]], [[odd.text]])
    expected = {"language": "Français ☃", "page": 3, "score": 0.5, "draft": False, "tags": '["a","b"]'}
    assert nearest["metadatas"] == [[{**expected, "nested": '{"place":1}'}]]
    assert collection.metadata["embedding_model"] == "all-MiniLM-L6-v2"
    assert collection.metadata["embedding_state"] == "complete"
    client.close()


def _chroma(place: str) -> Any:
    settings = chromadb.config.Settings(anonymized_telemetry=False)
    if place.startswith("chroma:"):
        return chromadb.PersistentClient(place.removeprefix("chroma:"), settings)
    url = httpx.URL(place.removeprefix("chroma+"))
    return chromadb.HttpClient(url.host, url.port, settings=settings)


@pytest.mark.parametrize("output", ["qdrant"], indirect=True)
def test_qdrant_finds_points_by_their_payload(output: str) -> None:
    qdrant = pytest.importorskip("qdrant_client", reason="needs requirements/stores.txt")
    written = rows(40)
    fill(output, written)
    folder, name = output.removeprefix("qdrant:").rsplit("#", 1)
    client = qdrant.QdrantClient(path=folder)
    _check_points(client, name, written)
    client.close()


def test_qdrant_s_server_gets_the_same(qdrant_server: FakeQdrant) -> None:
    fill(f"qdrant+{qdrant_server.url}#docs", rows(600))
    _check_points(qdrant_server.local, "docs", rows(600))


def _check_points(client: Any, name: str, written: list[Row]) -> None:
    models = pytest.importorskip("qdrant_client.models", reason="needs requirements/stores.txt")

    [number, uuid] = client.retrieve(name, [7, written[4].id], with_vectors=True)
    assert (number.payload, uuid.payload["text"]) == ({"text": written[2].text}, written[4].text)
    assert np.allclose(number.vector, written[2].vector, atol=1e-6)
    named = models.Filter(must=[models.FieldCondition(key="id", match=models.MatchValue(value="Ünïcode ☃"))])
    [point] = client.query_points(name, query=written[1].vector.tolist(), query_filter=named).points
    assert point.payload == {**written[1].metadata, "text": written[1].text, "id": written[1].id}


@pytest.mark.parametrize("output", ["pgvector"], indirect=True)
def test_postgresql_has_columns_types_and_the_index(output: str) -> None:
    psycopg = pytest.importorskip("psycopg", reason="needs requirements/stores.txt")
    written = rows(1200)
    fill(output, written)
    url, name = output.rsplit("#", 1)
    query = f"SELECT id, text, metadata FROM {name} ORDER BY embedding <=> %s::vector LIMIT 1"  # noqa: S608 - a constant name
    with psycopg.connect(url) as connection:
        connection.execute("SET enable_seqscan = off")
        plan = connection.execute(f"EXPLAIN {query}", (written[3].vector.tolist(),)).fetchall()
        nearest = connection.execute(query, (written[3].vector.tolist(),)).fetchone()
        stored = connection.execute(f"SELECT embedding::text FROM {name} WHERE id = '7'").fetchone()  # noqa: S608
    assert any(f"{name}_embedding_hnsw" in line for (line,) in plan)
    assert nearest == (written[3].id, written[3].text, dict(written[3].metadata))
    assert np.array_equal(np.array(json.loads(stored[0]), np.float32), written[2].vector)


@pytest.mark.parametrize("output", ["lancedb"], indirect=True)
def test_lancedb_searches_with_its_index(output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lancedb = pytest.importorskip("lancedb", reason="needs requirements/stores.txt")
    monkeypatch.setattr(lance_sink, "INDEXED_FROM", 400)
    written = rows(400)
    fill(output, written)
    folder, name = output.removeprefix("lancedb:").rsplit("#", 1)
    table = lancedb.connect(folder).open_table(name)
    assert len(table.list_indices()) == 1
    [nearest] = table.search(written[5].vector, vector_column_name="vector").metric("cosine").limit(1).to_list()
    assert (nearest["id"], nearest["text"], json.loads(nearest["metadata"])) == (
        written[5].id,
        written[5].text,
        dict(written[5].metadata),
    )


@pytest.mark.parametrize("output", ["shards", "parquet-shards"], indirect=True)
def test_shards_are_what_pinecone_takes(output: str, pinecone: FakePinecone) -> None:
    written = rows(2300)
    fill(output, written)
    read = [_records(path) for path in sorted(Path(output).iterdir()) if path.name.startswith("rows-")]
    client = pytest.importorskip("pinecone", reason="needs requirements/stores.txt")
    with client.Index(host=pinecone.url) as index:
        for records in read:
            index.upsert(vectors=records, namespace="docs", show_progress=False)
    assert [record["metadata"]["text"] for records in read for record in records] == [row.text for row in written]
    held = pinecone.namespaces["docs"]
    assert len(held) == len(written)
    assert all(np.array_equal(np.float32(held[row.id]["values"]), row.vector) for row in written[9:])


def _records(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs requirements/stores.txt")
    return [{**row, "metadata": json.loads(row["metadata"])} for row in parquet.read_table(path).to_pylist()]


def test_pinecone_gets_requests_within_its_limits(pinecone: FakePinecone) -> None:
    pinecone.dimension = 1024
    written = [Row(place, f"id-{place}", "text", vector) for place, vector in enumerate(vectors(300, 1024))]
    fill(f"pinecone+{pinecone.url}#docs", written)
    held = pinecone.namespaces["docs"]
    assert all(np.array_equal(np.float32(held[row.id]["values"]), row.vector) for row in written)


def test_pinecone_s_index_of_another_dimension_is_refused(pinecone: FakePinecone) -> None:
    refused = pytest.raises(MigrateError, match=r"index of 8 dimensions, these vectors have 1024")
    with refused, opened(f"pinecone+{pinecone.url}#docs", target(dimension=1024)):
        pass


def test_a_namespace_that_holds_something_is_not_emptied(pinecone: FakePinecone) -> None:
    fill(f"pinecone+{pinecone.url}#docs", rows(5))
    refused = pytest.raises(MigrateError, match=r"holds 5 records; .*delete_all=True")
    with refused, opened(f"pinecone+{pinecone.url}#docs", target(fresh=True)):
        pass
    assert len(pinecone.namespaces["docs"]) == 5


def test_a_text_that_pinecone_cannot_hold_is_named(pinecone: FakePinecone) -> None:
    long = Row(0, "long", "x" * 50_000, vectors(1)[0])
    with pytest.raises(MigrateError, match=r"of long have 500\d\d bytes, Pinecone takes 40000.*--chunk"):
        fill(f"pinecone+{pinecone.url}#docs", [long])


@pytest.mark.parametrize("output", ["pgvector"], indirect=True)
def test_a_text_that_postgresql_cannot_hold_is_named(output: str) -> None:
    with pytest.raises(MigrateError, match="'nul' holds a NUL"):
        fill(output, [Row(0, "nul", "a\0b", vectors(1)[0])])


@pytest.mark.parametrize("output", ["qdrant"], indirect=True)
def test_metadata_does_not_hide_the_text(output: str) -> None:
    with pytest.raises(MigrateError, match=r"metadata field text .*--metadata-fields"):
        fill(output, [Row(0, "one", "the text", vectors(1)[0], {"text": "another"})])
