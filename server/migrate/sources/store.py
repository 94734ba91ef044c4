"""What sources in stores share."""

import hashlib
import json
from collections.abc import Iterable, Mapping
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


def described(fields: Fields, records: Iterable[Record]) -> str:
    """Say what of a store is read, with a digest of all of it in order.

    A job goes on at a number in that order: one entry less and another one more would lose a text where only their
    number is compared.
    """
    digest, count = hashlib.sha256(), 0
    for found in records:
        entry = [found.id, found.text, found.metadata]
        digest.update(json.dumps(entry, default=str, sort_keys=True, separators=(",", ":")).encode() + b"\n")
        count += 1
    if count:
        fields.check_found()
    return f"{count} entries, SHA-256 {digest.hexdigest()}, text from {fields.text}, id from {fields.id or 'the store'}"
