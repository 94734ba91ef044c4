"""Which fields of an entry are its text, its id and its metadata."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from server.migrate.errors import MigrateError
from server.migrate.record import Record
from server.migrate.sources.source import Broken
from server.migrate.sources.values import carried, id_text

TEXT = "text"
ID = "id"
SHOWN = 12
# The id of an entry that could not be read, which is no entry's own: those are never empty.
UNREAD = ""
MISSING = object()

# What a reader of a format makes of its input: entries, each with the id that it came under (None: with none).
Entry = tuple[str | None, object]


@dataclass(frozen=True, slots=True)
class Fields:
    """The names to look under. Without a name for the id, `id` is taken where an entry has it, else its ordinal.

    A name with dots that no field has leads into nested objects: `payload.text` is the field `text` of `payload`.
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
        """Choose from the `names` of columns those that hold a field, in their order.

        Raises:
            MigrateError: two columns have one name, or there is none for the text or the id that was asked for.
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
        """Make records of all `entries`, from ordinal 0 on.

        Raises:
            MigrateError: the first entry lacks a field, or none has one that is to be carried along.
        """
        readable = False
        for ordinal, (key, entry) in enumerate(entries):
            record = self.record(ordinal, entry, key)
            readable |= not isinstance(record.text, Broken)
            yield record
        if readable:
            self.check_found()

    def check_found(self) -> None:
        """Check, when all entries came, that each field to be carried along was in one of them: it may lack in others.

        Raises:
            MigrateError: one was in none: its name is a mistake.
        """
        if lacking := [name for name in self.metadata if name not in self._found]:
            raise MigrateError(f"no entry has the field {', '.join(lacking)}; see --metadata-fields")

    def record(self, ordinal: int, entry: object, key: str | None = None, *, everything: bool = False) -> Record:
        """Make a record of `entry`: a mapping with the fields, or the text itself; `key` is the id that it came under.

        Without names of metadata, `everything` carries along all fields but those of text and id. What makes the entry
        unusable stands in a Broken in place of the text.

        Raises:
            MigrateError: the very first entry lacks a field: its name is a mistake rather than a bad row.
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
        text = look(entry, self.text)
        return Record(ordinal, id_, Broken(f"it has no field {self.text}") if text is MISSING else text, metadata)

    def _id(self, ordinal: int, entry: Mapping[str, object], key: str | None) -> str:
        if key is not None and not self.id:
            return key
        found = look(entry, self.id) if self.id else entry.get(ID, ordinal)
        try:
            return id_text(None if found is MISSING else found)
        except ValueError as error:
            raise ValueError(f"its id (field {self.id or ID}) is {error}") from None

    def _metadata(self, entry: Mapping[str, object], *, everything: bool) -> dict[str, object]:
        names = self.metadata
        if everything and not names:
            names = tuple(name for name in entry if name not in (self.text, self.id))
        found = {name: value for name in names if (value := look(entry, name)) is not MISSING}
        self._found.update(found)
        plain: dict[str, object] = {}
        for name, value in found.items():
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
        missing = [f"{flag} {name}" for flag, name in self._asked().items() if look(entry, name) is MISSING]
        if missing:
            shown = ", ".join(list(_names(entry))[:SHOWN]) or "none"
            raise MigrateError(f"the first entry has no such field: {', '.join(missing)}; it has: {shown}")


def look(entry: Mapping[str, object], name: str) -> object:
    """Return what stands under `name`, or in nested objects along its dots; MISSING where nothing does."""
    if name in entry:
        return entry[name]
    found: object = entry
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return MISSING
        found = found[part]
    return found


def _column(name: str, columns: list[str]) -> str:
    """The column that holds a field: that of its name, or that of the object it is in."""
    return name if name in columns else name.partition(".")[0]


def check_names(names: Iterable[str]) -> None:
    """Check that no two columns have one name; columns without a name are none that could be asked for.

    Raises:
        MigrateError: two have, of which one would hide the other.
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
