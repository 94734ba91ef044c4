"""Converts input ids to ids that Qdrant and Pinecone accept; deterministic, so that rows are replaced. Pure."""

import uuid
from collections.abc import Mapping

from server.migrate.errors import MigrateError

# The UUID namespace. Changing it would duplicate every row of a resumed migration.
NAMESPACE = uuid.UUID("8f0a3a52-6d0e-5b0e-9a43-0c6a4d0f1b7e")
# The metadata field for the input's id, if the row's key differs from it.
ID = "id"
TEXT = "text"
PINECONE_ID_CHARS = 512


def qdrant_key(id_: str) -> int | str:
    """Return the point id for `id_`: unchanged if it is an unsigned integer or a canonical UUID, else its uuid5.

    Other spellings of a number or a UUID ("007", upper case) become a uuid5 too, so that no two ids share a point.
    """
    if id_.isascii() and id_.isdecimal() and str(number := int(id_[:20])) == id_ and number < 1 << 64:
        return number
    return id_ if _is_uuid(id_) else derived(id_)


def pinecone_key(id_: str) -> str:
    """Return the record id for `id_`: unchanged if Pinecone accepts it (up to 512 ASCII characters), else its uuid5."""
    fits = id_.isascii() and 0 < len(id_) <= PINECONE_ID_CHARS and "\0" not in id_
    return id_ if fits else derived(id_)


def derived(id_: str) -> str:
    """Return the version 5 UUID of `id_`."""
    return str(uuid.uuid5(NAMESPACE, id_))


def original(key: int | str, fields: Mapping[str, object]) -> str:
    """Return the input's id from which `key` was made; `fields` is the metadata stored with it."""
    kept = fields.get(ID)
    return kept if isinstance(kept, str) and derived(kept) == key else str(key)


def merged(metadata: Mapping[str, object], added: Mapping[str, object]) -> dict[str, object]:
    """Merge `added` into `metadata`.

    Raises:
        MigrateError: metadata has another value under one of the names.
    """
    for name, value in added.items():
        if metadata.get(name, value) != value:
            raise MigrateError(
                f"the metadata field {name} of {added.get(ID) or 'a row'} has a name that is taken; "
                f"rename it in the input, or leave it out of --metadata-fields"
            )
    return {**metadata, **added}


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
