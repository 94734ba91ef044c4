"""A folder of text files, one text per file, with the file's path in the folder as its id."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from server.migrate.record import Record
from server.migrate.sources.file import digest, files
from server.migrate.sources.source import Broken, Source
from server.migrate.sources.stream import binary, encoding_fault

LARGEST_FILE = 1 << 26
HIDDEN = (".",)


def make(location: str, _options: Mapping[str, str]) -> Source:
    """Open the folder at `location`."""
    return FolderSource(Path(location))


class FolderSource:
    """The files of a folder and its subfolders in order of name, without hidden ones."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def identity(self) -> str:
        """Return path, number of files and a SHA-256 over all names and contents.

        Raises:
            MigrateError: a file cannot be read.
        """
        paths = list(self._files())
        return f"{self._folder.resolve()}, {len(paths)} files, SHA-256 {digest(self._folder, paths)}"

    def count(self) -> int:
        """Count the files."""
        return sum(1 for _ in self._files())

    def records(self, start: int) -> Iterator[Record]:
        """Yield the records from ordinal `start` on.

        Raises:
            MigrateError: a file cannot be read.
        """
        for ordinal, path in islice(enumerate(self._files()), start, None):
            yield Record(ordinal, path.relative_to(self._folder).as_posix(), _content(path))

    def close(self) -> None:
        """Nothing stays open between records."""

    def _files(self) -> Iterator[Path]:
        return files(self._folder, HIDDEN)


def _content(path: Path) -> str | Broken:
    with binary(path) as stream:
        data = stream.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        return Broken(f"the file is larger than {LARGEST_FILE} bytes: too large for one text")
    if fault := encoding_fault(data):
        return Broken(f"the file {fault}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Broken(f"the file is not UTF-8: {error.reason} at byte {error.start}")
