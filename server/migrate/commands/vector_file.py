"""Reads vectors from files: `.npy` or FAISS with an ids file beside it, or a format that contains both."""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from server.inference.engine import Vectors
from server.migrate import outputs
from server.migrate.errors import MigrateError
from server.migrate.job import receipt
from server.migrate.job.workspace import JobWorkspace
from server.migrate.options import job_folder
from server.migrate.record import Row
from server.migrate.sinks import faiss, npy, npz, parquet
from server.migrate.stores.retry import reason
from server.model.output_types import TYPES
from server.secret import mask
from server.service.output import FLOAT32, Output

# Rows of a file of numbers that tell codes from components.
TELLING = 100


class RowFile:
    """Implements `Stored` for a file of rows, which is read from its beginning each time."""

    SUFFIXES = tuple(suffix for suffix, name in outputs.SUFFIXES.items() if name in ("jsonl", "parquet", "npz"))

    def __init__(self, path: Path, journal: Path | None = None) -> None:
        """Use the rows of `path`, an output of a migration whose journal's folder is `journal` (None: beside it).

        Raises:
            MigrateError: there is no such file.
        """
        self._path = path
        self._receipt = _receipt_of(path, journal)
        if not path.is_file():
            raise MigrateError(f"{mask(str(path))}: no such file")

    def ids(self) -> Iterator[str]:
        """Yield every id, in file order."""
        yield from (row.id for row in self._rows())

    def count(self) -> int:
        """Count the vectors."""
        return sum(1 for _ in self._rows())

    def vectors(self, ids: Sequence[str]) -> Mapping[str, NDArray[Any]]:
        """Read vectors by id, in one pass."""
        wanted = set(ids)
        return {row.id: row.vector.copy() for row in self._rows() if row.id in wanted}

    def texts(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Read texts by id, in one pass; `.npz` holds none."""
        wanted = set(ids)
        return {row.id: row.text for row in self._rows() if row.id in wanted and row.text}

    def space(self) -> str:
        """Return the id that the file itself holds, or its job's receipt."""
        kind = outputs.guess(str(self._path))
        held = {"npz": npz.space, "parquet": parquet.space}.get(kind)
        return (held(self._path) if held else "") or receipt.space_of(self._receipt)

    def output(self) -> Output:
        """Return the type that the file itself says, or its job's receipt.

        Raises:
            MigrateError: it is none of this version's, or rows are codes and there is no receipt.
        """
        kind = outputs.guess(str(self._path))
        held = {"npz": npz.output, "parquet": parquet.output}.get(kind)
        try:
            return held(self._path) if held else self._said_beside()
        except ValueError as error:
            raise MigrateError(f"{self._path} {error}; a later version may have written it") from None

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _said_beside(self) -> Output:
        said = receipt.output_of(self._receipt)
        # Unit vectors have no component of that size: all of it whole numbers are codes.
        first = [] if said else [row.vector for row in islice(self._rows(), TELLING)]
        if first and all((row == np.rint(row)).all() for row in first) and any(np.abs(row).max() > 1 for row in first):
            raise _no_receipt(self._path)
        return said or FLOAT32

    def _rows(self) -> Iterator[Row]:
        try:
            yield from outputs.read(str(self._path), outputs.guess(str(self._path)))
        except (KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
            raise MigrateError(f"{self._path} holds no rows of a migration: {reason(error)}") from None


class VectorFile:
    """Implements `Stored` for a file of vectors; without an ids file, a row's id is its number."""

    def __init__(self, path: Path, journal: Path | None = None) -> None:
        """Open the file without reading it into memory; `journal` is its job's folder (None: beside it).

        Raises:
            MigrateError: it cannot be read, or is not a supported format.
        """
        self._faiss = path.suffix == ".faiss"
        if not path.is_file() or path.suffix not in (".npy", ".faiss"):
            raise MigrateError(
                f"{mask(str(path))} cannot be compared: give a file that a migration wrote, or a store's address"
            )
        self._path = path
        self._receipt = _receipt_of(path, journal)
        self._ids = faiss.ids_path(path) if self._faiss else npy.ids_path(path)
        opened: Any = faiss.read_index(path) if self._faiss else _load(path)
        self._vectors = opened
        self._rows: int = opened.ntotal if self._faiss else len(opened)

    def ids(self) -> Iterator[str]:
        """Yield every id, in file order."""
        if not self._ids.exists():
            yield from map(str, range(self._rows))
            return
        with self._ids.open("rb") as lines:
            yield from map(orjson.loads, lines)

    def count(self) -> int:
        """Count the vectors."""
        return self._rows

    def vectors(self, ids: Sequence[str]) -> Mapping[str, NDArray[Any]]:
        """Read vectors by id, in one pass over the ids."""
        wanted = set(ids)
        return {id_: self._row(row) for row, id_ in enumerate(self.ids()) if id_ in wanted}

    def texts(self, ids: Sequence[str]) -> Mapping[str, str]:  # noqa: ARG002 - the format stores none
        """Return none."""
        return {}

    def space(self) -> str:
        """Return the id in the receipt of the file's job."""
        return receipt.space_of(self._receipt)

    def output(self) -> Output:
        """Return the type in the receipt of the file's job; without one, that of the file's own numbers.

        Raises:
            MigrateError: they are codes, and there is no receipt.
        """
        said = receipt.output_of(self._receipt)
        if said:
            return said
        if self._faiss:
            name = faiss.type_of(self._vectors)
        elif self._vectors.dtype.kind == "f":
            name = "float16" if self._vectors.dtype == np.float16 else "float"
        else:
            raise _no_receipt(self._path)
        if TYPES[name].scaled:
            raise _no_receipt(self._path)
        return Output(TYPES[name])

    def close(self) -> None:
        """Do nothing: the file is closed when this object is garbage-collected."""

    def _row(self, row: int) -> NDArray[Any]:
        return np.array(self._vectors.reconstruct(row) if self._faiss else self._vectors[row])


def _load(path: Path) -> Vectors:
    try:
        vectors: Vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise MigrateError(f"{path} is no array of numbers: {error}") from None
    if vectors.ndim != 2:
        raise MigrateError(f"{path} has {vectors.ndim} axes; vectors need two (rows, dimension)")
    return vectors


def _receipt_of(output: Path, journal: Path | None) -> Path:
    """Return where the receipt of the job that wrote `output` is, in `journal` or beside the file."""
    beside = JobWorkspace(job_folder(str(output))).receipt
    given = JobWorkspace(journal).receipt if journal else beside
    return given if given.exists() else beside


def _no_receipt(path: Path) -> MigrateError:
    return MigrateError(
        f"{mask(str(path))} holds codes, whose type only the receipt of its job says; keep {path.name}.migrate beside "
        "it (the folder of --journal, under that name)"
    )
