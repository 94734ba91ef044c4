"""Reads outputs with the clients of their stores and formats instead of our code."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from server.inference.engine import Vectors
from server.migrate.stores.registry import is_address, parse


@dataclass(frozen=True)
class Entry:
    """A row as returned by its client; `text` is None if the format has no texts."""

    id: str
    text: str | None
    vector: Vectors


def entries(output: str) -> list[Entry]:
    """Return all rows of a finished output, in its client's order."""
    kind = parse(output).store if is_address(output) else Path(output).suffix.removeprefix(".") or "shards"
    read: dict[str, Callable[[str], list[Entry]]] = {
        "npy": _npy,
        "npz": _npz,
        "jsonl": _jsonl,
        "parquet": _parquet_or_shards,
        "faiss": _faiss,
        "shards": _shards,
        "chroma": _chroma,
        "qdrant": _qdrant,
        "lancedb": _lancedb,
        "pgvector": _pgvector,
        "pinecone": _pinecone,
    }
    return read[kind](output)


def _vector(values: object) -> Vectors:
    return np.asarray(values, np.float32)


def _client(name: str) -> Any:
    return pytest.importorskip(name, reason="needs requirements/stores.txt")


def _npy(output: str) -> list[Entry]:
    ids = _lines(Path(output).with_suffix(".ids.jsonl"))
    return [Entry(id_, None, vector) for id_, vector in zip(ids, np.load(output), strict=True)]


def _npz(output: str) -> list[Entry]:
    with np.load(output) as arrays:
        pairs = zip(arrays["ids"].tolist(), arrays["embeddings"], strict=True)
        return [Entry(id_, None, vector) for id_, vector in pairs]


def _jsonl(output: str) -> list[Entry]:
    return [Entry(row["id"], row["text"], _vector(row["embedding"])) for row in _lines(Path(output))]


def _parquet_or_shards(output: str) -> list[Entry]:
    if Path(output).is_dir():
        return _shards(output)
    table = _client("pyarrow.parquet").read_table(output)
    rows = table.to_pylist()
    return [Entry(row["id"], row["text"], _vector(row["embedding"])) for row in rows]


def _faiss(output: str) -> list[Entry]:
    faiss = _client("faiss")
    binary = Path(output).read_bytes()[:4] == b"IBxF"
    index = (faiss.read_index_binary if binary else faiss.read_index)(output)
    ids = _lines(Path(f"{output}.ids.jsonl"))
    vectors = [index.reconstruct(row) for row in range(index.ntotal)]
    return [Entry(id_, None, vector) for id_, vector in zip(ids, vectors, strict=True)]


def _shards(output: str) -> list[Entry]:
    paths = sorted(path for path in Path(output).iterdir() if path.name.startswith("rows-"))
    return [_record(row) for path in paths for row in (_lines(path) if path.suffix == ".jsonl" else _rows(path))]


def _rows(path: Path) -> list[dict[str, Any]]:
    rows = _client("pyarrow.parquet").read_table(path).to_pylist()
    return [{**row, "metadata": json.loads(row["metadata"])} for row in rows]


def _record(row: Any) -> Entry:
    return Entry(row["metadata"].get("id", row["id"]), row["metadata"]["text"], _vector(row["values"]))


def _chroma(output: str) -> list[Entry]:
    chromadb, place = _client("chromadb"), parse(output)
    settings = chromadb.config.Settings(anonymized_telemetry=False)
    if place.remote:
        url = httpx.URL(place.location.reveal())
        client = chromadb.HttpClient(url.host, url.port, settings=settings)
    else:
        client = chromadb.PersistentClient(place.location.reveal(), settings)
    collection = client.get_collection(place.collection, embedding_function=None)
    columns = collection.get(include=["documents", "embeddings"])
    client.close()
    rows = zip(columns["ids"], columns["documents"], columns["embeddings"], strict=True)
    return [Entry(id_, text, _vector(vector)) for id_, text, vector in rows]


def _qdrant(output: str) -> list[Entry]:
    place = parse(output)
    client = _client("qdrant_client").QdrantClient(path=place.location.reveal())
    points, rest = client.scroll(place.collection, limit=100_000, with_vectors=True)
    client.close()
    assert rest is None
    return [
        Entry(point.payload.get("id", str(point.id)), point.payload["text"], _vector(point.vector)) for point in points
    ]


def _lancedb(output: str) -> list[Entry]:
    place = parse(output)
    rows = _client("lancedb").connect(place.location.reveal()).open_table(place.collection).to_arrow().to_pylist()
    return [Entry(row["id"], row["text"], _vector(row["vector"])) for row in rows]


def _pgvector(output: str) -> list[Entry]:
    place = parse(output)
    with _client("psycopg").connect(place.location.reveal()) as connection:
        query = f"SELECT id, text, embedding::text FROM {place.collection}"  # noqa: S608 - a constant name
        return [Entry(id_, text, _numbers(vector)) for id_, text, vector in connection.execute(query)]


def _numbers(text: str) -> Any:
    """Return a vector from PostgreSQL's text; a string of bits as packed bytes."""
    if text.startswith("["):
        return _vector(json.loads(text))
    return np.packbits([int(bit) for bit in text])


def _pinecone(output: str) -> list[Entry]:
    place = parse(output)
    with _client("pinecone").Index(host=place.location.reveal()) as index:
        pages = index.list(namespace=place.collection)
        ids = [getattr(one, "id", one) for page in pages for one in getattr(page, "vectors", page)]
        responses = [index.fetch(ids=ids[at : at + 100], namespace=place.collection) for at in range(0, len(ids), 100)]
    held = [one for response in responses for one in response.vectors.values()]
    return [_record({"id": one.id, "values": one.values, "metadata": one.metadata}) for one in held]


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
