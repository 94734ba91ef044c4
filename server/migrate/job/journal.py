"""How far a job has come: an append-only file that is believed only as far as its checksums hold.

The first line says what the job is; each further line is the state after one window, written when the sink has the
window's rows for good. A line is the CRC-32 of its JSON in hexadecimal, a space, the JSON.
"""

import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from server.migrate.errors import MigrateError
from server.migrate.ownership import owned_files
from server.secret import mask

VERSION = 1
RESTART = "Run with --restart to start over"


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a job is. `job` names everything that decides its result; the rest is found once and kept.

    `batch_tokens` was measured when the job began: another value could round vectors differently. `records` is the
    input's count, None where it was not known; `fresh` whether the target is emptied before the first window.
    """

    version: int
    job: dict[str, str]
    batch_tokens: int
    records: int | None
    fresh: bool
    started: str


class JournalEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The state after window number `window`; every count is a total since the job began.

    `next` is the ordinal of the first record that is not done, `computed` the number of vectors that the memo was
    given. `lengths` are the bytes that belong to the files beside the journal.
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
    """What a journal's bytes say: `length` of them are sound."""

    header: Header
    last: JournalEntry
    length: int


StructT = TypeVar("StructT", Header, JournalEntry)


class Journal:
    """A journal that is open for appending."""

    def __init__(self, path: Path, recovered: Recovered) -> None:
        """Cut what was not written whole off the file at `path`."""
        self.header = recovered.header
        self.last = recovered.last
        self._descriptor = owned_files.reopen(path, os.O_WRONLY | os.O_APPEND)
        os.ftruncate(self._descriptor, recovered.length)

    def append(self, entry: JournalEntry) -> None:
        """Put `entry` on record for good.

        Raises:
            OSError: it could not be written; the job must end, since what the file holds now is not known.
        """
        line = _line(entry)
        if os.write(self._descriptor, line) != len(line):
            raise OSError("the journal could not be written whole; free space on its disk")
        os.fsync(self._descriptor)
        self.last = entry

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


def create(path: Path, header: Header) -> Journal:
    """Begin a journal; it appears under its name when its header is on disk.

    Raises:
        OSError: it could not be written.
    """
    line = _line(header)
    owned_files.put(path, line)
    return Journal(path, Recovered(header, JournalEntry(), len(line)))


def recover(path: Path) -> Recovered | None:
    """Read the journal at `path`; None when there is none.

    Raises:
        MigrateError: it is damaged in another way than by an interrupted last line.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return parse(raw)
    except ValueError as error:
        raise MigrateError(f"{path} is damaged: {error}. Restore it from a copy. {RESTART}") from None


def parse(raw: bytes) -> Recovered:
    """Find the last good entry of a journal's bytes.

    Only what an interruption can leave is forgiven: an end that is no line. Its window is done again.

    Raises:
        ValueError: the header is not sound, or a sound line comes after one that is not, or out of its turn.
    """
    lines = raw.splitlines(keepends=True)
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
    """Name what the job on record and the one asked for do not share."""
    names = {**recorded, **asked}
    return [
        f"{name} was {mask(recorded.get(name, '(none)'))}, is {asked.get(name, '(none)')}"
        for name in names
        if recorded.get(name) != asked.get(name)
    ]


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
