"""Parsing of store addresses, and masking of their secrets."""

import importlib.util
import tomllib
from pathlib import Path

import pytest

from server.migrate.errors import MigrateError
from server.migrate.stores.registry import STORES, Store, is_address, parse
from tests.serving import ROOT


@pytest.mark.parametrize(
    ("text", "store", "location", "collection"),
    [
        ("chroma:/data/chroma#docs", "chroma", "/data/chroma", "docs"),
        ("chroma+http://localhost:8000#docs", "chroma", "http://localhost:8000", "docs"),
        ("qdrant:/data/a#b#docs", "qdrant", "/data/a#b", "docs"),
        ("qdrant+https://x.cloud.qdrant.io:6333#docs", "qdrant", "https://x.cloud.qdrant.io:6333", "docs"),
        ("postgresql://me:pw@db:5433/app#public.docs", "pgvector", "postgresql://me:pw@db:5433/app", "public.docs"),
        ("postgres:///app?host=/run/pg#docs", "pgvector", "postgresql:///app?host=/run/pg", "docs"),
        ("lancedb:s3://bucket/folder#docs", "lancedb", "s3://bucket/folder", "docs"),
        ("pinecone://x.svc.pinecone.io#team%20a", "pinecone", "https://x.svc.pinecone.io", "team a"),
        ("pinecone://x.svc.pinecone.io#", "pinecone", "https://x.svc.pinecone.io", ""),
        ("pinecone+http://localhost:5080#docs", "pinecone", "http://localhost:5080", "docs"),
    ],
)
def test_an_address_names_a_store_a_place_and_a_collection(
    text: str, store: str, location: str, collection: str
) -> None:
    address = parse(text)
    assert (address.store, address.location.reveal(), address.collection) == (store, location, collection)
    assert is_address(text)


def test_one_folder_has_one_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(parse("chroma:db#docs")) == str(parse(f"chroma:{tmp_path}/x/../db#docs")) == f"chroma:{tmp_path}/db#docs"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:s3cret@db:5433/app#docs", "pgvector:postgresql://db:5433/app#docs"),
        ("postgresql://db/app?password=s3cret&user=me#docs", "pgvector:postgresql://db/app#docs"),
        (
            "postgresql://?host=/run/pg&port=5433&dbname=app&password=s3cret#docs",
            "pgvector:postgresql:///run/pg:5433/app#docs",
        ),
    ],
)
def test_a_password_is_never_shown(text: str, shown: str) -> None:
    address = parse(text)
    assert str(address) == shown
    assert "s3cret" not in repr(address)


@pytest.mark.parametrize("text", ["qdrant+http://key:s3cret@host#docs", "pinecone://host?key=s3cret#docs"])
def test_a_key_in_the_address_is_sent_to_the_environment(text: str) -> None:
    with pytest.raises(MigrateError, match=r"set (QDRANT|PINECONE)_API_KEY in the environment") as caught:
        parse(text)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["chroma:folder", "chroma:#docs", "qdrant+http:host#docs", "qdrant+http://host:port#docs", "postgresql://db/app#"],
)
def test_an_incomplete_address_is_refused_with_its_form(text: str) -> None:
    with pytest.raises(MigrateError) as caught:
        parse(text)
    assert any(store.form.written in str(caught.value) for store in STORES.values())


@pytest.mark.parametrize("name", ["embeddings.npy", "folder/index.faiss", "C:/data/x.npy", "milvus:x#y"])
def test_files_are_no_addresses(name: str) -> None:
    assert not is_address(name)
    with pytest.raises(MigrateError, match="is no store's address"):
        parse(name)


def test_every_folder_is_a_store_that_is_registered_and_imports_no_other() -> None:
    folders = {path.parent.name for path in (ROOT / "server" / "migrate" / "stores").glob("*/__init__.py")}
    assert folders == STORES.keys()
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (fenced,) = (contract["modules"] for contract in contracts if contract["id"] == "stores")
    assert {name.rpartition(".")[2] for name in fenced} == folders


@pytest.mark.parametrize("store", STORES.values(), ids=list(STORES))
def test_a_store_has_the_modules_that_it_says(store: Store) -> None:
    assert callable(importlib.import_module(store.module("open")).open_store)
    assert callable(importlib.import_module(store.module("sink")).make)
    assert store.readable == (importlib.util.find_spec(store.module("source")) is not None)
