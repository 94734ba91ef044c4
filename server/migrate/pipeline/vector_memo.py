"""Vectors of texts that came already, so that a text is embedded once: bounded, and the same after an interruption."""

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from server.inference.engine import Vectors
from server.migrate.ownership import owned_files

ENTRIES = 1 << 16
# Slots beyond ENTRIES: what one window may write without touching an entry that the journal still counts.
SPARE = 2048
HEAD = struct.Struct("<Q16sI")


class VectorMemo:
    """The last ENTRIES vectors computed, by key (16 bytes), in a ring of slots in a file.

    Entry number n lies in slot n modulo the ring's size. After window w the entries are those with numbers in
    (computed - ENTRIES, computed]; window w + 1 writes into slots outside of them. So when it is interrupted, what the
    journal counts is still there, and the window meets the very memo that it met before: its runs hold the same texts,
    and its vectors the same bits. First in, first out, where least recently used would have to record every use.
    """

    def __init__(self, path: Path, dimension: int, computed: int, entries: int = ENTRIES) -> None:
        """Open the ring at `path`, which has been given `computed` vectors of `dimension` components so far."""
        self._descriptor = owned_files.open_or_create(path)
        self._entries = entries
        self._dimension = dimension
        self._slot = HEAD.size + 4 * dimension
        self._numbers: dict[bytes, int] = {}
        self.computed = computed
        for number in range(max(0, computed - entries), computed):
            head = os.pread(self._descriptor, HEAD.size, self._offset(number))
            if len(head) == HEAD.size and HEAD.unpack(head)[0] == number:
                self._numbers[HEAD.unpack(head)[1]] = number

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Vectors]:
        """Return the vectors that are here."""
        found = {}
        for key in {key for key in keys if key in self._numbers}:
            vector = self._read(self._numbers[key], key)
            if vector is not None:
                found[key] = vector
        return found

    def keep(self, keys: Sequence[bytes], vectors: Vectors) -> None:
        """Keep the vectors of new keys, SPARE at most, until as many others have come as there is room for."""
        for key, vector in zip(keys[:SPARE], vectors[:SPARE], strict=True):
            body = vector.astype("<f4", copy=False).tobytes()
            slot = HEAD.pack(self.computed, key, zlib.crc32(body)) + body
            if os.pwrite(self._descriptor, slot, self._offset(self.computed)) != len(slot):
                raise OSError("the memo of vectors could not be written whole; free space on its disk")
            self._numbers[key] = self.computed
            self.computed += 1
        while len(self._numbers) > self._entries:
            self._numbers.pop(next(iter(self._numbers)))

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _offset(self, number: int) -> int:
        return number % (self._entries + SPARE) * self._slot

    def _read(self, number: int, key: bytes) -> Vectors | None:
        slot = os.pread(self._descriptor, self._slot, self._offset(number))
        body = slot[HEAD.size :]
        # After a power failure a slot may be an older one: its text is then embedded again.
        if len(slot) < self._slot or HEAD.unpack(slot[: HEAD.size]) != (number, key, zlib.crc32(body)):
            return None
        return np.frombuffer(body, "<f4")
