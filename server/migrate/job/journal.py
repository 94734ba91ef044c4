"""The journal: an append-only log of a job's progress, valid up to the last line whose checksum matches.

The first line describes the job; each further line is the state after one window, appended once the sink has stored
the window's rows durably. A line is the CRC-32 of its JSON in hexadecimal, a space, and the JSON.
"""

import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from server.migrate.errors import MigrateError
from server.migrate.ownership import owned_files
from server.model.output_types import FLOAT
from server.secret import mask
from server.service.output import Output

VERSION = 1
# The key of the embedding space's id in a job. Jobs of earlier versions say none; their graph's hash is compared.
SPACE = "space"
# The keys of the output type and of its scale; jobs of earlier versions, which say none, write float32.
DTYPE, SCALE = "output dtype", "scale"
RESTART = "Run with --restart to start over"


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The journal's first line. `job` holds everything that determines the result; the rest is fixed at the start.

    `batch_tokens` was measured when the job began: another value could round vectors differently. `records` is the
    number of records in the input, None if unknown; `fresh` says whether the target is emptied before the first window.
    """

    version: int
    job: dict[str, str]
    batch_tokens: int
    records: int | None
    fresh: bool
    started: str


class JournalEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The state after window number `window`; every count is a total since the job began.

    `next` is the ordinal of the first unprocessed record, `computed` the number of vectors added to the memo, and
    `lengths` the valid length in bytes of each file beside the journal.
    """

    window: int = 0
    next: int = 0
    records: int = 0
    embedded: int = 0
    rejected: int = 0
    rows: int = 0
    tokens: int = 0
    truncated: int = 0
    repeated: int = 0
    computed: int = 0
    seconds: float = 0.0
    lengths: dict[str, int] = {}
    finished: bool = False


class Recovered(msgspec.Struct, frozen=True):
    """The content of an existing journal, whose first `length` bytes are valid."""

    header: Header
    last: JournalEntry
    length: int


StructT = TypeVar("StructT", Header, JournalEntry)


class Journal:
    """A journal open for appending."""

    def __init__(self, path: Path, recovered: Recovered) -> None:
        """Open the file at `path` and truncate an incomplete last line."""
        self.header = recovered.header
        self.last = recovered.last
        self._descriptor = owned_files.reopen(path, os.O_WRONLY | os.O_APPEND)
        os.ftruncate(self._descriptor, recovered.length)

    def append(self, entry: JournalEntry) -> None:
        """Append `entry` and flush it to disk.

        Raises:
            OSError: it could not be written; the job must end, because the state of the file is now unknown.
        """
        line = _line(entry)
        if os.write(self._descriptor, line) != len(line):
            raise OSError("the journal could not be written whole; free space on its disk")
        os.fsync(self._descriptor)
        self.last = entry

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def create(path: Path, header: Header) -> Journal:
    """Create a journal; it appears under its name only once its header is on disk.

    Raises:
        OSError: it could not be written.
    """
    line = _line(header)
    owned_files.put(path, line)
    return Journal(path, Recovered(header, JournalEntry(), len(line)))


def recover(path: Path) -> Recovered | None:
    """Read the journal at `path`; None if there is none.

    Raises:
        MigrateError: it is damaged other than by an incomplete last line.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return parse(data)
    except ValueError as error:
        raise MigrateError(f"{path} is damaged: {error}. Restore it from a copy. {RESTART}") from None


def parse(data: bytes) -> Recovered:
    """Parse a journal's bytes up to the last valid entry.

    An invalid end is what an interrupted write leaves; it is ignored, and its window is processed again.

    Raises:
        ValueError: the header is invalid, a valid line follows an invalid one, or an entry is out of sequence.
    """
    lines = data.splitlines(keepends=True)
    header = _decode(lines[0], Header) if lines else None
    if header is None:
        raise ValueError("its first line does not say what the job is")
    if header.version != VERSION:
        raise ValueError(f"it is of version {header.version}, this program writes {VERSION}")
    last, length = JournalEntry(), len(lines[0])
    for number, line in enumerate(lines[1:], 2):
        entry = _decode(line, JournalEntry)
        if entry is None:
            _check_tail(lines[number:], number)
            break
        if entry.window != last.window + 1:
            raise ValueError(f"line {number} is about window {entry.window}, expected {last.window + 1}")
        last, length = entry, length + len(line)
    return Recovered(header, last, length)


def differences(recorded: Mapping[str, str], asked: Mapping[str, str]) -> list[str]:
    """List the differences between the recorded job and the requested one."""
    recorded = {DTYPE: FLOAT.name, **recorded}
    asked = {DTYPE: FLOAT.name, **asked}
    names = [name for name in {**recorded, **asked} if name != SPACE or SPACE in recorded]
    return [
        f"{name} was {mask(recorded.get(name, '(none)'))}, is {asked.get(name, '(none)')}"
        for name in names
        if recorded.get(name) != asked.get(name)
    ]


def output_of(job: Mapping[str, str]) -> Output:
    """Return the type of a job's vectors.

    Raises:
        MigrateError: it is none of this version's.
    """
    try:
        return Output.of_marks(job, DTYPE, SCALE)
    except ValueError as error:
        raise MigrateError(f"the journal or receipt {error}") from None


def _check_tail(lines: list[bytes], number: int) -> None:
    if any(_decode(line, JournalEntry) for line in lines):
        raise ValueError(f"line {number} does not match its checksum, and sound lines follow it")


def _line(struct: Header | JournalEntry) -> bytes:
    payload = msgspec.json.encode(struct)
    return b"%08x %b\n" % (zlib.crc32(payload), payload)


def _decode(line: bytes, kind: type[StructT]) -> StructT | None:
    checksum, _, payload = line.removesuffix(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(payload):
        return None
    try:
        return msgspec.json.decode(payload, type=kind)
    except ValueError:
        return None
