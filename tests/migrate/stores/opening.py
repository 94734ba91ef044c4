"""A sink for an output, as the command makes it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from server.migrate.sinks import faiss
from server.migrate.sinks.sink import Sink, Target
from server.migrate.stores.address import is_address, parse
from server.migrate.stores.chroma import sink as chroma
from server.migrate.stores.lancedb import sink as lancedb
from server.migrate.stores.pgvector import sink as pgvector
from server.migrate.stores.pinecone import sink as pinecone
from server.migrate.stores.qdrant import sink as qdrant

MAKERS: dict[str, Callable[[str, Mapping[str, str]], Sink]] = {
    "chroma": chroma.make,
    "lancedb": lancedb.make,
    "pgvector": pgvector.make,
    "pinecone": pinecone.make,
    "qdrant": qdrant.make,
}


@contextmanager
def opened(output: str, asked: Target) -> Iterator[Sink]:
    """Open the sink, and close it even where it cannot be opened."""
    sink = sink_for(output)
    try:
        sink.open(asked)
        yield sink
    finally:
        sink.close()


def sink_for(output: str) -> Sink:
    """Make the sink."""
    if is_address(output):
        return MAKERS[parse(output).store](output, {})
    return (faiss.make if Path(output).suffix == ".faiss" else pinecone.make)(output, {})
