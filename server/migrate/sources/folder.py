"""A folder of text files, one text a file, with the file's path in the folder as id."""

import hashlib
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from server.artifact import sha256
from server.migrate.errors import MigrateError
from server.migrate.record import Record
from server.migrate.sources.source import Broken, Source
from server.migrate.sources.stream import binary, reading

LARGEST_FILE = 1 << 26


def make(location: str, _options: Mapping[str, str]) -> Source:
    """Open the folder at `location`."""
    return FolderSource(Path(location))


class FolderSource:
    """The files of a folder and of the folders in it, in the order of their names; hidden ones are left out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def identity(self) -> str:
        """Return path, number of files and a SHA-256 over all names and contents.

        Raises:
            MigrateError: a file cannot be read.
        """
        digest, count = hashlib.sha256(), 0
        for path in _files(self._folder):
            with reading(path):
                digest.update(f"{self._id(path)}\0{sha256(path)}\n".encode("utf-8", "surrogateescape"))
            count += 1
        return f"{self._folder.resolve()}, {count} files, SHA-256 {digest.hexdigest()}"

    def count(self) -> int:
        """Count the files."""
        return sum(1 for _ in _files(self._folder))

    def records(self, start: int) -> Iterator[Record]:
        """Yield the records from ordinal `start` on.

        Raises:
            MigrateError: a file cannot be read.
        """
        for ordinal, path in islice(enumerate(_files(self._folder)), start, None):
            yield Record(ordinal, self._id(path), _content(path))

    def close(self) -> None:
        """Nothing stays open between records."""

    def _id(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()


def _files(folder: Path) -> Iterator[Path]:
    with reading(folder):
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for path in entries:
        if path.is_dir() and not path.is_symlink():
            yield from _files(path)
        elif path.is_file():
            yield path


def _content(path: Path) -> str | Broken:
    with binary(path) as stream:
        raw = stream.read(LARGEST_FILE + 1)
    if len(raw) > LARGEST_FILE:
        raise MigrateError(f"{path} is larger than {LARGEST_FILE} bytes: too large for one text")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Broken(f"the file is not UTF-8: {error.reason} at byte {error.start}")
