"""A JSON file: a list of texts or objects, an object of id → text, or a store's dump that holds such a list.

What an object is, is told from its first members before any of it is read as records: taken for id → text, a dump would
be a few odd texts, and its list a single one.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

from server.migrate.errors import MigrateError
from server.migrate.sources.fields import ID, MISSING, Entry, Fields
from server.migrate.sources.file import FileSource
from server.migrate.sources.json_cursor import Cursor
from server.migrate.sources.source import Broken, Source
from server.migrate.sources.store_entry import document
from server.migrate.sources.stream import text

# Members of an object that are looked at to tell what it is.
LOOKED_AT = 16
# What dumps and answers of stores call the list of their entries, and the object around it.
LISTS = (
    *("data", "points", "vectors", "matches", "records", "rows", "items", "entries", "documents", "texts", "results"),
    "hits",
)
AROUND = ("result", "results", "response", "data", "hits")
# What chromadb's `collection.get()` returns.
CHROMA = ("ids", "documents")
METADATAS = "metadatas"

ItemT = TypeVar("ItemT")
Names = tuple[str, ...]


def make(location: str, options: Mapping[str, str]) -> Source:
    """Open the file at `location`; `options` name the fields."""
    fields = Fields.of(options)
    return FileSource(Path(location), fields, partial(_entries, fields=fields))


@dataclass(frozen=True, slots=True)
class JsonOutline:
    """The first members of an object, and of objects in it that may surround a list: path → as `Cursor.skip` says."""

    opens: Mapping[Names, str]

    def lists(self) -> list[Names]:
        """Name the lists."""
        return [path for path, opening in self.opens.items() if opening.startswith("[")]

    def columns(self, fields: Fields) -> list[str]:
        """Name the lists that are columns: one a field, or Chroma's own; none where it is no object of columns."""
        names = [path[0] for path in self.lists() if len(path) == 1]
        if fields.text in names:
            return fields.columns(names)
        return [*CHROMA, *(name for name in names if name == METADATAS)] if set(CHROMA) <= set(names) else []

    def dumped(self) -> Names | None:
        """Return the path to the one list of entries; None where there is no list.

        Raises:
            ValueError: it cannot be told which list is meant.
        """
        lists = self.lists()
        known = [path for path in lists if path[-1] in LISTS]
        # Texts or rows beside another list may be one of several columns; objects are whole.
        if not lists or (len(known) == 1 and (len(lists) == 1 or self.opens[known[0]] == "[{")):
            return known[0] if known else None
        named = ", ".join(".".join(path) for path in lists)
        why = "more than one of which may hold" if known else "none of which has a name of those that hold"
        raise ValueError(f"it is an object with lists ({named}), {why} the entries; save these alone, as objects")


def _entries(path: Path, fields: Fields) -> Iterator[Entry]:
    with _explained(path):
        with text(path) as stream:
            opening = Cursor(stream).peek()
        if opening != "{":
            yield from ((None, entry) for entry in _read(path, Cursor.elements))
            return
        outline = JsonOutline(dict(_read(path, _outline, whole=False)))
        if columns := outline.columns(fields):
            yield from _rows(path, columns, fields)
        elif found := outline.dumped():
            yield from ((None, entry) for entry in _read(path, partial(_under, path=found)))
        else:
            _check_map(outline, fields)
            yield from _read(path, partial(_members, fields=fields))


def _read(
    path: Path, reader: Callable[[Cursor], Iterator[ItemT]], *, whole: bool = True
) -> Generator[ItemT, None, None]:
    """Yield what `reader` makes of the file, after which (`whole`) nothing may come."""
    with text(path) as stream:
        cursor = Cursor(stream)
        yield from reader(cursor)
        if whole:
            cursor.end()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, RecursionError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise
        raise MigrateError(
            f"{path} is not a JSON list or object of texts: {error}; if it holds one JSON value a line, "
            "say --input-format jsonl"
        ) from None


def _outline(cursor: Cursor) -> Iterator[tuple[Names, str]]:
    for number, name in enumerate(cursor.members(), 1):
        if cursor.peek() == "{" and name in AROUND:
            yield (name,), "{"
            for inner in cursor.members():
                yield (name, inner), cursor.skip()
        else:
            yield (name,), cursor.skip()
        if number == LOOKED_AT:
            return


def _check_map(outline: JsonOutline, fields: Fields) -> None:
    """Check that an object without lists is one of id → text."""
    opening = outline.opens.get((fields.text,))
    if opening == "{":
        raise ValueError(
            f"its member {fields.text} is an object, as pandas writes columns; write records (orient='records')"
        )
    if opening:
        raise ValueError(f"it is one object with the field {fields.text}; put it, or all of them, in a list [ ]")


def _members(cursor: Cursor, fields: Fields) -> Iterator[Entry]:
    for key in cursor.members():
        entry = cursor.value()
        own = entry.get(ID, key) if isinstance(entry, Mapping) and not fields.id else key
        if not key:
            entry = Broken("the key that it stands under, its id, is empty")
        elif str(own) != key:
            entry = Broken(
                f"it stands under the key {key!r} and has the id {own!r}; say --id-field id to take that one"
            )
        yield key, entry


def _under(cursor: Cursor, path: Names) -> Iterator[object]:
    """Yield the values of the list at `path`, and go past all else."""
    if not path:
        yield from cursor.elements()
        return
    for key in cursor.members():
        if key == path[0]:
            yield from _under(cursor, path[1:])
        else:
            cursor.skip()


def _rows(path: Path, columns: list[str], fields: Fields) -> Iterator[Entry]:
    """Yield entries whose columns stand one after the other, each of which a cursor of its own reads."""
    with ExitStack() as stack:
        readers = [_read(path, partial(_under, path=(name,))) for name in columns]
        for values in zip_longest(*(stack.enter_context(closing(reader)) for reader in readers), fillvalue=MISSING):
            if MISSING in values:
                raise ValueError(f"its columns {', '.join(columns)} are not of one length")
            row = dict(zip(columns, values, strict=True))
            yield (None, row) if fields.text in row else _of_chroma(row, fields)


def _of_chroma(row: Mapping[str, object], fields: Fields) -> Entry:
    id_, text_ = (row[name] for name in CHROMA)
    metadata = row.get(METADATAS) or {}
    if not isinstance(id_, str) or not isinstance(metadata, Mapping):
        return None, Broken("its id is no text, or its metadata is no object: is this the answer to a query?")
    return id_, document(text_, metadata, fields)
