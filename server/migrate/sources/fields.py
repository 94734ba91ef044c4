"""Selects the text, id and metadata fields of an entry."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from server.migrate.errors import MigrateError
from server.migrate.record import Record
from server.migrate.sources.source import Broken
from server.migrate.sources.values import carried, id_text

TEXT = "text"
ID = "id"
SHOWN = 12
# The id of an entry that could not be read; the ids of entries are never empty.
UNREAD = ""
MISSING = object()

# What the reader of a format yields: an entry and the key it was stored under (None if there is none).
Entry = tuple[str | None, object]


@dataclass(frozen=True, slots=True)
class Fields:
    """The names of the fields. If `id` is empty, the id is the entry's field `id` or, without one, its ordinal.

    A dotted name that is not itself a field refers to a nested object: `payload.text` is the field `text` in `payload`.
    """

    text: str = TEXT
    id: str = ""
    metadata: tuple[str, ...] = ()
    _found: set[str] = field(default_factory=set, compare=False, repr=False)

    @classmethod
    def of(cls, options: Mapping[str, str]) -> "Fields":
        """Read `text_field`, `id_field` and `metadata_fields` (names separated by commas)."""
        names = (name.strip() for name in options.get("metadata_fields", "").split(","))
        return cls(options.get("text_field") or TEXT, options.get("id_field", ""), tuple(filter(None, names)))

    def columns(self, names: Iterable[str]) -> list[str]:
        """Return those of the columns `names` that contain a field, in order.

        Raises:
            MigrateError: two columns have the same name, or there is no column for the text or the given id.
        """
        have = list(names)
        check_names(have)
        missing = [f"{flag} {name}" for flag, name in self._asked().items() if _column(name, have) not in have]
        if missing:
            shown = ", ".join(have[:SHOWN]) or "none"
            raise MigrateError(f"there is no such column: {', '.join(missing)}; there are: {shown}")
        wanted = {_column(name, have) for name in (self.text, self.id or ID, *self.metadata)}
        return [name for name in have if name in wanted]

    def records(self, entries: Iterable[Entry]) -> Iterator[Record]:
        """Convert all `entries` to records, from ordinal 0 on.

        Raises:
            MigrateError: the first entry lacks a field, or no entry has one of the metadata fields.
        """
        readable = False
        for ordinal, (key, entry) in enumerate(entries):
            record = self.record(ordinal, entry, key)
            readable |= not isinstance(record.text, Broken)
            yield record
        if readable:
            self.check_found()

    def check_found(self) -> None:
        """Check, after the last entry, that each metadata field occurred in at least one of them.

        Raises:
            MigrateError: a field never occurred, so its name must be a mistake.
        """
        if lacking := [name for name in self.metadata if name not in self._found]:
            raise MigrateError(f"no entry has the field {', '.join(lacking)}; see --metadata-fields")

    def record(self, ordinal: int, entry: object, key: str | None = None, *, everything: bool = False) -> Record:
        """Convert `entry`, a mapping of fields or the text itself, to a record; `key` is the id it was stored under.

        If no metadata fields are named, `everything` keeps all fields except text and id. If the entry is unusable, the
        record's text is a Broken with the reason.

        Raises:
            MigrateError: the first entry lacks a field, so its name must be a mistake rather than a bad row.
        """
        if isinstance(entry, Broken):
            return Record(ordinal, UNREAD, entry)
        if not isinstance(entry, Mapping):
            return Record(ordinal, str(ordinal) if key is None else key, entry)
        if ordinal == 0:
            self._check(entry)
        try:
            id_ = self._id(ordinal, entry, key)
            metadata = self._metadata(entry, everything=everything)
        except ValueError as error:
            return Record(ordinal, UNREAD, Broken(str(error)))
        text = field_value(entry, self.text)
        return Record(ordinal, id_, Broken(f"it has no field {self.text}") if text is MISSING else text, metadata)

    def _id(self, ordinal: int, entry: Mapping[str, object], key: str | None) -> str:
        if key is not None and not self.id:
            return key
        value = field_value(entry, self.id) if self.id else entry.get(ID, ordinal)
        try:
            return id_text(None if value is MISSING else value)
        except ValueError as error:
            raise ValueError(f"its id (field {self.id or ID}) is {error}") from None

    def _metadata(self, entry: Mapping[str, object], *, everything: bool) -> dict[str, object]:
        names = self.metadata
        if everything and not names:
            names = tuple(name for name in entry if name not in (self.text, self.id))
        present = {name: value for name in names if (value := field_value(entry, name)) is not MISSING}
        self._found.update(present)
        plain: dict[str, object] = {}
        for name, value in present.items():
            try:
                plain[name] = carried(value)
            except ValueError as error:
                raise ValueError(
                    f"its field {name} is {error}, which cannot be carried along; leave it out of --metadata-fields"
                ) from None
        return {name: value for name, value in plain.items() if value is not None}

    def _asked(self) -> dict[str, str]:
        return {"--text-field": self.text} | ({"--id-field": self.id} if self.id else {})

    def _check(self, entry: Mapping[str, object]) -> None:
        missing = [f"{flag} {name}" for flag, name in self._asked().items() if field_value(entry, name) is MISSING]
        if missing:
            shown = ", ".join(list(_names(entry))[:SHOWN]) or "none"
            raise MigrateError(f"the first entry has no such field: {', '.join(missing)}; it has: {shown}")


def field_value(entry: Mapping[str, object], name: str) -> object:
    """Return the value of the field `name`, which may be a dotted path into nested objects, or MISSING."""
    if name in entry:
        return entry[name]
    value: object = entry
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return MISSING
        value = value[part]
    return value


def _column(name: str, columns: list[str]) -> str:
    """Return the column of a field: the one of its name, or the one of the object that contains it."""
    return name if name in columns else name.partition(".")[0]


def check_names(names: Iterable[str]) -> None:
    """Check that column names are unique; unnamed columns are ignored, since no option can refer to them.

    Raises:
        MigrateError: two columns have the same name, and one would hide the other.
    """
    seen: set[str] = set()
    for name in filter(None, names):
        if name in seen:
            raise MigrateError(f"two columns are named {name}; rename one, so that it is clear which is meant")
        seen.add(name)


def _names(entry: Mapping[str, object]) -> Iterator[str]:
    for name, value in entry.items():
        inner = [f"{name}.{part}" for part in value] if isinstance(value, Mapping) else []
        yield from inner or [str(name)]
