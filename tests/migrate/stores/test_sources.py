"""Stores as inputs: every record once, in a stable order, from any ordinal on."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.migrate.errors import MigrateError
from server.migrate.record import Record
from server.migrate.stores.chroma import open as chroma_store
from server.migrate.stores.chroma import source as chroma
from server.migrate.stores.pgvector import source as pgvector
from server.migrate.stores.qdrant import open as qdrant_store
from server.migrate.stores.qdrant import source as qdrant
from tests.migrate.stores.fake_qdrant import FakeQdrant
from tests.migrate.stores.opening import opened
from tests.migrate.stores.rows import rows, target

chromadb = pytest.importorskip("chromadb", reason="needs requirements/stores.txt")
MAKERS = {"chroma": chroma.make, "qdrant": qdrant.make, "postgresql": pgvector.make}
KINDS = ("chroma", "chroma-server", "qdrant", "qdrant-server", "pgvector")
every_source = pytest.mark.parametrize("output", KINDS, indirect=True)
COUNT = 60


def source(where: str, **options: str) -> Any:
    return MAKERS[where.partition(":")[0].partition("+")[0]](where, options)


def closed(one: Any) -> list[Record]:
    """Read all records and close the source, since a folder allows one client at a time."""
    with closing(one):
        return list(one.records(0))


@pytest.fixture
def filled(output: str) -> str:
    """A store filled by a migration."""
    with opened(output, target()) as sink:
        sink.write(rows(COUNT))
        sink.finish()
    return output


@every_source
def test_texts_ids_and_metadata_come_as_they_went(filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chroma_store, "PAGE", 7)
    monkeypatch.setattr(qdrant_store, "PAGE", 7)
    records = closed(source(filled))
    assert [record.ordinal for record in records] == list(range(COUNT))
    went = {row.id: row for row in rows(COUNT)}
    assert {record.id for record in records} == set(went)
    assert all(record.text == went[record.id].text for record in records)
    for record in records:
        simple = {name: value for name, value in record.metadata.items() if name in ("language", "page", "draft")}
        expected = {name: went[record.id].metadata[name] for name in simple}
        assert simple == expected
        assert len(simple) == (3 if went[record.id].metadata else 0)


@every_source
def test_records_go_on_from_any_ordinal_in_the_same_order(filled: str) -> None:
    one = source(filled)
    every = list(one.records(0))
    for start in (1, 13, COUNT - 1, COUNT):
        assert list(one.records(start)) == every[start:]
    assert one.count() == COUNT
    one.close()


@every_source
def test_another_number_of_entries_is_another_input(filled: str) -> None:
    first = source(filled)
    before = first.identity()
    first.close()
    with opened(filled, target(COUNT)) as sink:
        sink.write(rows(COUNT + 1)[COUNT:])
    second = source(filled)
    assert second.identity() != before
    second.close()


@every_source
def test_as_many_entries_of_which_one_is_another_are_another_input(filled: str) -> None:
    with closing(source(filled)) as first:
        before = first.identity()
    with closing(source(filled)) as same:
        assert same.identity() == before
    changed = replace(rows(COUNT)[20], text="another text")
    with opened(filled, target(COUNT)) as sink:
        sink.write([changed])
    with closing(source(filled)) as second:
        assert second.identity() != before
        assert second.count() == COUNT


@every_source
def test_a_store_that_is_not_there_is_named(output: str) -> None:
    with pytest.raises(MigrateError, match="docs_"):
        closed(source(output))


def test_chosen_fields_of_a_chroma_collection(tmp_path: Path) -> None:
    client = chromadb.PersistentClient(str(tmp_path), chromadb.config.Settings(anonymized_telemetry=False))
    collection = client.create_collection("old", embedding_function=None)
    metadata = {"body": "the text", "key": "k-1", "lang": "en", "page": 4}
    collection.add(ids=["one"], embeddings=[[1.0, 0.0]], metadatas=[metadata])
    client.close()
    where = f"chroma:{tmp_path}#old"
    [record] = closed(source(where, text_field="body", id_field="key", metadata_fields="lang"))
    assert record == Record(0, "k-1", "the text", {"lang": "en"})


def test_a_table_of_an_application_s_own(pgvector: str) -> None:
    psycopg = pytest.importorskip("psycopg", reason="needs requirements/stores.txt")
    with psycopg.connect(pgvector) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        connection.execute("CREATE SCHEMA IF NOT EXISTS shop")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS shop.items (sku bigint PRIMARY KEY, body text, added date, old vector(3))"
        )
        connection.execute("INSERT INTO shop.items VALUES (10, 'ten', '2024-05-01', '[1,2,3]'), (9, NULL, NULL, NULL)")
    one = source(f"{pgvector}#shop.items", text_field="body", id_field="sku")
    records = closed(one)
    assert [(record.id, record.text) for record in records] == [("9", None), ("10", "ten")]
    assert [str(record.metadata.get("added", "")) for record in records] == ["", "2024-05-01"]
    with pytest.raises(MigrateError, match=r"no column id \(sku, body, added, old\); say --id-field"):
        closed(source(f"{pgvector}#shop.items"))


def test_columns_of_every_type_and_a_field_that_is_there_twice(pgvector: str) -> None:
    psycopg = pytest.importorskip("psycopg", reason="needs requirements/stores.txt")
    with psycopg.connect(pgvector) as connection:
        connection.execute(
            "CREATE TABLE typed (id uuid, text text, raw bytea, addresses inet[], span int4range, took interval, "
            "at timestamptz, mood numeric, metadata jsonb)"
        )
        rest = ("a", b"\xff", "{10.0.0.1}", "[1,5)", "1 day", "2024-05-01Z", "NaN")
        for number, metadata in enumerate(['{"lang": "en"}', '{"text": "b"}'], 1):
            id_ = f"00000000-0000-4000-8000-00000000000{number}"
            connection.execute("INSERT INTO typed VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)", (id_, *rest, metadata))
        connection.execute("INSERT INTO typed (text) VALUES ('c')")
    first, doubled, nameless = closed(source(f"{pgvector}#typed"))
    assert (first.id, first.text) == ("00000000-0000-4000-8000-000000000001", "a")
    at = str(first.metadata.pop("at"))  # type: ignore[attr-defined]
    assert datetime.fromisoformat(at) == datetime(2024, 5, 1, tzinfo=UTC)
    assert first.metadata == {
        "raw": "/w==",
        "addresses": "{10.0.0.1}",
        "span": "[1,5)",
        "took": "1 day",
        "mood": "NaN",
        "lang": "en",
    }
    assert "its metadata has a field text of another value" in str(doubled.text)
    assert "its id (column id) is null" in str(nameless.text)


def test_a_field_of_chroma_s_metadata_called_text(tmp_path: Path) -> None:
    client = chromadb.PersistentClient(str(tmp_path), chromadb.config.Settings(anonymized_telemetry=False))
    collection = client.create_collection("old", embedding_function=None)
    metadatas = [{"text": "a"}, {"text": "x", "lang": "en"}]
    collection.add(ids=["one", "two"], embeddings=[[1.0, 0.0]] * 2, metadatas=metadatas, documents=[None, "b"])
    client.close()
    first, second = closed(source(f"chroma:{tmp_path}#old"))
    assert first == Record(0, "one", "a")
    assert "its metadata has a field text of another value" in str(second.text)
    assert closed(source(f"chroma:{tmp_path}#old", metadata_fields="lang"))[1] == Record(1, "two", "b", {"lang": "en"})


def test_nested_fields_of_a_qdrant_payload(qdrant_server: FakeQdrant) -> None:
    models = pytest.importorskip("qdrant_client.models", reason="needs requirements/stores.txt")
    size = {"a": models.VectorParams(size=2, distance=models.Distance.DOT)}
    qdrant_server.local.create_collection("nested", vectors_config=size)
    payload = {"page": {"text": "a", "n": 1}}
    point = models.PointStruct(id=7, vector={"a": [1.0, 0.0]}, payload=payload)
    qdrant_server.local.upsert("nested", [point])
    where = f"qdrant+{qdrant_server.url}#nested"
    asked = {"text_field": "page.text", "metadata_fields": "page.n"}
    assert closed(source(where, **asked)) == [Record(0, "7", "a", {"page.n": 1})]


@pytest.mark.parametrize("output", ["chroma", "qdrant", "pgvector"], indirect=True)
def test_old_and_new_may_lie_in_one_place(filled: str) -> None:
    old = source(filled)
    with opened(f"{filled}_new", target()) as sink:
        sink.write(rows(COUNT))
        sink.finish()
        assert sink.count() == old.count() == COUNT
    assert len(closed(old)) == COUNT


def test_qdrant_points_that_a_migration_did_not_make(qdrant_server: FakeQdrant) -> None:
    models = pytest.importorskip("qdrant_client.models", reason="needs requirements/stores.txt")

    size = models.VectorParams(size=2, distance=models.Distance.DOT)
    qdrant_server.local.create_collection("old", vectors_config=size)
    payload = {"id": 5, "text": "five", "lang": "en"}
    vectors = np.eye(2).tolist()
    qdrant_server.local.upsert("old", models.Batch(ids=[3, 1], vectors=vectors, payloads=[payload, {"text": "one"}]))
    records = closed(source(f"qdrant+{qdrant_server.url}#old"))
    assert records == [Record(0, "1", "one", {}), Record(1, "3", "five", {"id": 5, "lang": "en"})]
