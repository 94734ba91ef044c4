"""What sources in stores share."""

from collections.abc import Mapping
from dataclasses import replace

from server.migrate.record import Record
from server.migrate.sources.fields import Fields


def record(fields: Fields, ordinal: int, entry: Mapping[str, object], key: str) -> Record:
    """Make a record of a store's entry, called by the store's id `key` unless a field is to be its id.

    Without names of metadata, all that the store has beside the text goes along, since a copy is wanted.
    """
    own = None if fields.id else key
    found = fields.record(ordinal, entry, own)
    if fields.metadata:
        return found
    left_out = {fields.text, fields.id} if fields.id else {fields.text}
    rest = {name: value for name, value in entry.items() if name not in left_out and value is not None}
    return replace(found, metadata=rest)


def described(fields: Fields, rows: int) -> str:
    """Say what of a store is read, and how much there was: more or fewer entries are another input."""
    return f"{rows} entries, text from {fields.text}, id from {fields.id or 'the store'}"
