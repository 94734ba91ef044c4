"""An append-only file beside the journal; bytes beyond the recorded length are truncated when a job resumes."""

import os
from pathlib import Path

from server.migrate.errors import MigrateError
from server.migrate.ownership import owned_files


class SideFile:
    """An append-only file whose valid length is recorded in the journal."""

    def __init__(self, path: Path, length: int) -> None:
        """Open the file at `path` and truncate it to the recorded `length` in bytes.

        Raises:
            MigrateError: it is shorter.
        """
        self.path = path
        self._descriptor = owned_files.open_or_create(path, os.O_RDWR | os.O_APPEND)
        size = os.fstat(self._descriptor).st_size
        if size < length:
            os.close(self._descriptor)
            raise MigrateError(f"{path} has {size} bytes, the journal counts {length}; run with --restart")
        os.ftruncate(self._descriptor, length)
        self.length = length

    def append(self, data: bytes) -> None:
        """Append `data` and flush it to disk.

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
        """Close the file."""
        os.close(self._descriptor)
