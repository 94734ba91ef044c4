"""A bounded cache, on disk, of the vectors of texts seen before; a resumed job finds it in the same state."""

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from server.inference.engine import Vectors
from server.migrate.ownership import owned_files

ENTRIES = 1 << 16
# Extra slots, so that one window can write without overwriting an entry that the journal still counts.
SPARE = 2048
HEAD = struct.Struct("<Q16sI")


class VectorMemo:
    """The last ENTRIES vectors computed, by key (16 bytes), in a ring buffer in a file.

    Entry number n is in slot n modulo the ring's size. After window w the valid entries are (computed - ENTRIES,
    computed], and window w + 1 writes to other slots. So if that window is interrupted it starts again with the same
    memo, its runs contain the same texts and its vectors are identical to the bit. Eviction is first in, first out:
    least recently used would have to record every use.
    """

    def __init__(self, path: Path, dimension: int, computed: int, entries: int = ENTRIES) -> None:
        """Open the ring at `path`, to which `computed` vectors of `dimension` components have been added so far."""
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
        """Return the cached vectors, by key."""
        cached = {}
        for key in {key for key in keys if key in self._numbers}:
            vector = self._read(self._numbers[key], key)
            if vector is not None:
                cached[key] = vector
        return cached

    def keep(self, keys: Sequence[bytes], vectors: Vectors) -> None:
        """Add the vectors of new keys, SPARE at most, evicting the oldest entries."""
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
        """Close the file."""
        os.close(self._descriptor)

    def _offset(self, number: int) -> int:
        return number % (self._entries + SPARE) * self._slot

    def _read(self, number: int, key: bytes) -> Vectors | None:
        slot = os.pread(self._descriptor, self._slot, self._offset(number))
        body = slot[HEAD.size :]
        # After a power failure a slot may hold an older entry: its text is then embedded again.
        if len(slot) < self._slot or HEAD.unpack(slot[: HEAD.size]) != (number, key, zlib.crc32(body)):
            return None
        return np.frombuffer(body, "<f4")
