"""Which fields of an entry are its text, its id and its metadata."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from server.migrate.errors import MigrateError
from server.migrate.record import Record
from server.migrate.sources.source import Broken

TEXT = "text"
ID = "id"
SHOWN = 12


@dataclass(frozen=True, slots=True)
class Fields:
    """The names to look under. Without a name for the id, `id` is taken where an entry has it, else its ordinal."""

    text: str = TEXT
    id: str = ""
    metadata: tuple[str, ...] = ()
    _found: set[str] = field(default_factory=set, compare=False, repr=False)

    @classmethod
    def of(cls, options: Mapping[str, str]) -> "Fields":
        """Read `text_field`, `id_field` and `metadata_fields` (names separated by commas)."""
        names = (name.strip() for name in options.get("metadata_fields", "").split(","))
        return cls(options.get("text_field") or TEXT, options.get("id_field", ""), tuple(filter(None, names)))

    def records(self, entries: Iterable[object]) -> Iterator[Record]:
        """Make records of all `entries`, from ordinal 0 on.

        Raises:
            MigrateError: the first entry lacks a field, or none has one that is to be carried along.
        """
        return self.members((None, entry) for entry in entries)

    def members(self, entries: Iterable[tuple[str | None, object]]) -> Iterator[Record]:
        """Do the same for entries that come under an id (None: they do not)."""
        ordinal = -1
        for ordinal, (key, entry) in enumerate(entries):
            yield self.record(ordinal, entry, key)
        if ordinal >= 0:
            self.check_found()

    def check_found(self) -> None:
        """Check, when all entries came, that each field to be carried along was in one of them: it may lack in others.

        Raises:
            MigrateError: one was in none: its name is a mistake.
        """
        if lacking := [name for name in self.metadata if name not in self._found]:
            raise MigrateError(f"no entry has the field {', '.join(lacking)}; see --metadata-fields")

    def record(self, ordinal: int, entry: object, key: str | None = None) -> Record:
        """Make a record of `entry`: a mapping with the fields, or the text itself; `key` is the id that it came under.

        Raises:
            MigrateError: the very first entry lacks a field: its name is a mistake rather than a bad row.
        """
        if not isinstance(entry, Mapping):
            return Record(ordinal, str(ordinal) if key is None else key, entry)
        if ordinal == 0:
            self._check(entry)
        id_ = entry.get(self.id or ID, None if self.id else ordinal) if key is None else key
        self._found.update(name for name in self.metadata if name in entry)
        metadata = {name: entry[name] for name in self.metadata if entry.get(name) is not None}
        if not isinstance(id_, str | int) or isinstance(id_, bool) or id_ == "":
            reason = f"its id (field {self.id or ID}) is {_kind(id_)}, which must be text or a whole number"
            return Record(ordinal, str(ordinal), Broken(reason), metadata)
        return Record(ordinal, str(id_), entry.get(self.text), metadata)

    def _check(self, entry: Mapping[str, object]) -> None:
        asked = {"--text-field": self.text, "--id-field": self.id}
        missing = [f"{flag} {name}" for flag, name in asked.items() if name and name not in entry]
        if missing:
            shown = ", ".join(list(map(str, entry))[:SHOWN]) or "none"
            raise MigrateError(f"the first entry has no such field: {', '.join(missing)}; it has: {shown}")


def _kind(value: object) -> str:
    return "missing" if value is None else "empty" if value == "" else f"a {type(value).__name__}"
