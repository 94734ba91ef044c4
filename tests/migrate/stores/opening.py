"""A sink for an output, as the command makes it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.migrate.outputs import open_sink
from server.migrate.sinks.sink import Sink, Target
from server.migrate.stores.registry import is_address


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
    told = is_address(output) or Path(output).suffix == ".faiss"
    return open_sink(output, None if told else "pinecone", {})
