"""Vectors and ids of an unfinished output: a `.npy` whose header is written last, and a file with one id per line."""

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from server.migrate.errors import MigrateError
from server.migrate.ownership import owned_files
from server.migrate.record import Row
from server.migrate.sinks.line_file import LineFile
from server.migrate.sinks.partial_folder import IDS, VECTORS, PartialFolder
from server.migrate.sinks.sink import Target
from server.model.output_types import FLOAT


class VectorRows:
    """Rows written at their places, from `open` to `complete`."""

    def __init__(self, partial: PartialFolder) -> None:
        self._partial = partial
        self._width = 0
        self._dtype = FLOAT.dtype
        self._rows = 0
        self._vectors = -1
        self._lines: LineFile | None = None

    def open(self, target: Target, final_ids: Path | None = None) -> None:
        """Start, or resume after the recorded rows; their ids may have their final name already.

        Raises:
            MigrateError: recorded rows are missing.
            OSError: a file cannot be created, or was not created by this program.
        """
        self._width, self._dtype, written = target.width, target.output.kind.dtype, target.written
        self._rows = written
        path, ids = self._partial.path(VECTORS), self._partial.path(IDS)
        self._vectors = owned_files.open_or_create(path)
        size = os.fstat(self._vectors).st_size
        if written and size < self._offset(written):
            self.close()
            raise MigrateError(f"{path} lacks rows that are on record; run with --restart")
        if size > self._offset(written):
            os.ftruncate(self._vectors, self._offset(written))
        # If the job was killed between the two renames, the ids already have their final name.
        moved = final_ids is not None and written and final_ids.exists() and not self._partial.holds(IDS)
        self._lines = LineFile(final_ids if moved and final_ids else ids, written)

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows at their places.

        Raises:
            OSError: they could not be written whole.
        """
        if self._lines is None:
            raise RuntimeError("the sink is not open for writing")
        data = np.stack([row.vector for row in rows]).astype(self._dtype, copy=False).tobytes()
        if os.pwrite(self._vectors, data, self._offset(rows[0].place)) != len(data):
            raise OSError("not all vectors could be written; free space on the disk")
        os.fsync(self._vectors)
        self._lines.write(rows[0].place, [json.dumps(row.id).encode() + b"\n" for row in rows])
        self._rows = rows[-1].place + 1

    def complete(self) -> None:
        """Write the header, which makes the vectors a `.npy` file, and close both files."""
        if self._vectors >= 0:
            os.pwrite(self._vectors, header(self._rows, self._width, self._dtype), 0)
            os.fsync(self._vectors)
        self.close()

    def close(self) -> None:
        """Close the files."""
        if self._lines:
            self._lines.close()
            self._lines = None
        if self._vectors >= 0:
            os.close(self._vectors)
            self._vectors = -1

    def _offset(self, place: int) -> int:
        return len(header(0, self._width, self._dtype)) + place * self._width * np.dtype(self._dtype).itemsize


def header(rows: int, width: int, dtype: str = FLOAT.dtype) -> bytes:
    """Return a `.npy` header; NumPy pads it to the same length for any number of rows."""
    stream = io.BytesIO()
    shape = {"descr": dtype, "fortran_order": False, "shape": (rows, width)}
    npy_format.write_array_header_1_0(stream, shape)
    return stream.getvalue()
