"""Converts a row to a Pinecone record. Pure."""

from typing import Any

import orjson

from server.migrate.record import Row
from server.migrate.stores import keys
from server.migrate.stores.claim import SPACE
from server.migrate.stores.metadata import flat
from server.migrate.stores.pinecone.open import Record


def record(row: Row, space: str = "") -> Record:
    """Return `row` as a Pinecone record, with its text in the metadata.

    A namespace carries no metadata of its own, so each record has the id of the vectors' `space`, if it is known.

    Raises:
        MigrateError: a metadata field has a reserved name, or cannot be stored.
    """
    key = keys.pinecone_key(row.id)
    added: dict[str, Any] = {keys.TEXT: row.text} | ({} if key == row.id else {keys.ID: row.id})
    added |= {SPACE: space} if space else {}
    # The shortest decimal of a float32 has half the characters of the same number widened to a Python float.
    values = orjson.loads(orjson.dumps(row.vector, option=orjson.OPT_SERIALIZE_NUMPY))
    return {"id": key, "values": values, "metadata": keys.merged(flat(row.metadata, row.id, lists=True), added)}
