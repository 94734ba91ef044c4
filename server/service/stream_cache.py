"""Keeps the number of streams that was found best beside the model, so that a later start need not search again."""

import contextlib
import os

import msgspec
import onnxruntime

from server.batching.stream_plan import StreamTrial
from server.service.loaded_model import LoadedModel
from server.system import machine

SUFFIX = ".streams"
# A larger file was not written here.
MOST_BYTES = 65_536


class StreamKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the best number of streams depends on."""

    processor: str
    flags: list[str]
    threads: int
    longest_text_s: float
    max_batch_tokens: int | None
    memory_limit: int | None
    onnxruntime: str
    sha256: str


class StreamRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the file."""

    key: StreamKey
    streams: int
    trials: list[StreamTrial]


class StreamCache:
    """The file of one graph, `GRAPH.streams`."""

    def __init__(self, loaded: LoadedModel, memory_limit: int | None) -> None:
        """Describe the graph of `loaded` on this machine."""
        self.path = loaded.artifact.model_path.with_name(f"{loaded.artifact.model_path.name}{SUFFIX}")
        self._key = StreamKey(
            processor=machine.cpu_model(),
            flags=machine.cpu_flags(),
            threads=loaded.threads.count,
            longest_text_s=loaded.settings.longest_text_s,
            max_batch_tokens=loaded.settings.max_batch_tokens,
            memory_limit=memory_limit,
            onnxruntime=onnxruntime.__version__,
            sha256=loaded.artifact.variant.sha256,
        )

    def read(self) -> int | None:
        """Return the number of streams found before on such a machine, or None."""
        record = self._record()
        known = record is not None and record.key == self._key and 1 <= record.streams <= self._key.threads
        return record.streams if record is not None and known else None

    def write(self, streams: int, trials: list[StreamTrial]) -> bool:
        """Write the file atomically and return whether that was possible; it replaces no file of another kind."""
        if os.path.lexists(self.path) and self._record() is None:
            return False
        content = msgspec.json.encode(StreamRecord(self._key, streams, trials))
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except OSError:
            return False
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            partial.replace(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                partial.unlink()
            return False
        return True

    def _record(self) -> StreamRecord | None:
        """Return what the file holds; None if there is none, or it was not written here."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                return msgspec.json.decode(file.read(MOST_BYTES), type=StreamRecord)
        except (OSError, msgspec.DecodeError):
            return None
