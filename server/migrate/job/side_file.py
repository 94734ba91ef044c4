"""A file beside the journal that grows with it: what lies beyond the length on record is cut off and written again."""

import os
from pathlib import Path

from server.migrate.errors import MigrateError
from server.migrate.ownership import owned_files


class SideFile:
    """Append-only bytes, of which the journal says how many count."""

    def __init__(self, path: Path, length: int) -> None:
        """Open the file at `path` with the `length` bytes that are on record.

        Raises:
            MigrateError: it holds fewer.
        """
        self.path = path
        self._descriptor = owned_files.open_or_create(path, os.O_RDWR | os.O_APPEND)
        found = os.fstat(self._descriptor).st_size
        if found < length:
            os.close(self._descriptor)
            raise MigrateError(f"{path} has {found} bytes, the journal counts {length}; run with --restart")
        os.ftruncate(self._descriptor, length)
        self.length = length

    def append(self, data: bytes) -> None:
        """Write `data` at the end, for good.

        Raises:
            OSError: it could not be written whole.
        """
        if not data:
            return
        if os.write(self._descriptor, data) != len(data):
            raise OSError(f"{self.path} could not be written whole; free space on its disk")
        os.fsync(self._descriptor)
        self.length += len(data)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)
