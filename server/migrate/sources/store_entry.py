"""Shared by the sources that read from stores: entries with metadata, and a digest of all entries."""

import hashlib
import json
from collections.abc import Iterable, Mapping

from server.migrate.record import Record
from server.migrate.sources.fields import TEXT, Fields
from server.migrate.sources.source import Broken


def beside(own: Mapping[str, object], metadata: Mapping[str, object], fields: Fields) -> Mapping[str, object] | Broken:
    """Merge an entry's metadata with its own fields; return a Broken if both have a field with different values."""
    asked = fields.metadata or tuple(metadata)
    if doubled := [name for name in asked if name in own and metadata.get(name, own[name]) != own[name]]:
        return Broken(
            f"its metadata has a field {doubled[0]} of another value than its own {doubled[0]}: rename it there, "
            "or choose others with --metadata-fields"
        )
    return {**metadata, **own}


def document(text: object, metadata: Mapping[str, object], fields: Fields) -> Mapping[str, object] | Broken:
    """Merge Chroma's metadata with its document, as the field `text`; an entry may have no document."""
    return beside({} if text is None and TEXT in metadata else {TEXT: text}, metadata, fields)


def record(fields: Fields, ordinal: int, entry: Mapping[str, object] | Broken, key: str) -> Record:
    """Convert a store's entry to a record, with the store's id `key` unless a field is the id.

    If no metadata fields are named, all fields except the text become metadata, so that the copy is complete.
    """
    return fields.record(ordinal, entry, key, everything=True)


def described(fields: Fields, records: Iterable[Record]) -> str:
    """Describe what is read from a store, with a digest of all records in order.

    A job resumes at a position in that order, so comparing only the count would miss a text if one entry was deleted
    and another added.
    """
    digest, count = hashlib.sha256(), 0
    for entry_record in records:
        entry = [entry_record.id, entry_record.text, entry_record.metadata]
        digest.update(json.dumps(entry, default=str, sort_keys=True, separators=(",", ":")).encode() + b"\n")
        count += 1
    if count:
        fields.check_found()
    return f"{count} entries, SHA-256 {digest.hexdigest()}, text from {fields.text}, id from {fields.id or 'the store'}"
