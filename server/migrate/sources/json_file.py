"""A JSON file: a list of texts or objects, an object of id → text, or a store's dump that contains such a list.

The kind of an object is detected from its first members, before any records are read: a dump that was mistaken for
id → text would become a few wrong texts.
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

# How many members of an object are inspected to detect its kind.
LOOKED_AT = 16
# Names that stores' dumps and responses give to the list of entries, and to the object around it.
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
    """First members of an object, and of nested objects that may contain the list: path → result of `Cursor.skip`."""

    opens: Mapping[Names, str]

    def lists(self) -> list[Names]:
        """Return the paths of the lists."""
        return [path for path, opening in self.opens.items() if opening.startswith("[")]

    def columns(self, fields: Fields) -> list[str]:
        """Return the names of the columns if this is an object of columns (one per field, or Chroma's); else none."""
        names = [path[0] for path in self.lists() if len(path) == 1]
        if fields.text in names:
            return fields.columns(names)
        return [*CHROMA, *(name for name in names if name == METADATAS)] if set(CHROMA) <= set(names) else []

    def dumped(self) -> Names | None:
        """Return the path to the list of entries; None if there is no list.

        Raises:
            ValueError: it is ambiguous which list contains the entries.
        """
        lists = self.lists()
        known = [path for path in lists if path[-1] in LISTS]
        # A list of texts or rows beside another list may be a column; a list of objects cannot be.
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
        elif list_path := outline.dumped():
            yield from ((None, entry) for entry in _read(path, partial(_under, path=list_path)))
        else:
            _check_map(outline, fields)
            yield from _read(path, partial(_members, fields=fields))


def _read(
    path: Path, reader: Callable[[Cursor], Iterator[ItemT]], *, whole: bool = True
) -> Generator[ItemT, None, None]:
    """Yield what `reader` reads from the file; if `whole`, check that nothing follows."""
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
    """Check that an object without lists can be a mapping of id → text."""
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
    """Yield the values of the list at `path`, skipping everything else."""
    if not path:
        yield from cursor.elements()
        return
    for key in cursor.members():
        if key == path[0]:
            yield from _under(cursor, path[1:])
        else:
            cursor.skip()


def _rows(path: Path, columns: list[str], fields: Fields) -> Iterator[Entry]:
    """Yield entries from columns that follow one another in the file, each read by its own cursor."""
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
