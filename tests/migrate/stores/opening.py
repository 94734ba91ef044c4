"""Opens sinks as the command does."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.migrate.outputs import open_sink
from server.migrate.sinks.sink import Sink, Target
from server.migrate.stores.registry import is_address


@contextmanager
def opened(output: str, asked: Target) -> Iterator[Sink]:
    """Open the sink, and close it even if opening fails."""
    sink = sink_for(output)
    try:
        sink.open(asked)
        yield sink
    finally:
        sink.close()


def sink_for(output: str) -> Sink:
    """Return the sink for an output."""
    told = is_address(output) or Path(output).suffix == ".faiss"
    return open_sink(output, None if told else "pinecone", {})
