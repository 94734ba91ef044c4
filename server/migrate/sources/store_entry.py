"""What sources in stores share."""

import hashlib
import json
from collections.abc import Iterable, Mapping

from server.migrate.record import Record
from server.migrate.sources.fields import TEXT, Fields
from server.migrate.sources.source import Broken


def beside(own: Mapping[str, object], metadata: Mapping[str, object], fields: Fields) -> Mapping[str, object] | Broken:
    """Put an entry's metadata beside its own fields; Broken where both have a field and one would hide the other."""
    asked = fields.metadata or tuple(metadata)
    if doubled := [name for name in asked if name in own and metadata.get(name, own[name]) != own[name]]:
        return Broken(
            f"its metadata has a field {doubled[0]} of another value than its own {doubled[0]}: rename it there, "
            "or choose others with --metadata-fields"
        )
    return {**metadata, **own}


def document(text: object, metadata: Mapping[str, object], fields: Fields) -> Mapping[str, object] | Broken:
    """Put Chroma's metadata beside its document, called `text`, which an entry may lack."""
    return beside({} if text is None and TEXT in metadata else {TEXT: text}, metadata, fields)


def record(fields: Fields, ordinal: int, entry: Mapping[str, object] | Broken, key: str) -> Record:
    """Make a record of a store's entry, called by the store's id `key` unless a field is to be its id.

    Without names of metadata, all that the store has beside the text goes along, since a copy is wanted.
    """
    return fields.record(ordinal, entry, key, everything=True)


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
