"""A row as Pinecone takes it. Pure."""

from typing import Any

import orjson

from server.migrate.record import Row
from server.migrate.stores import keys
from server.migrate.stores.metadata import flat
from server.migrate.stores.pinecone.open import Record


def record(row: Row) -> Record:
    """Return `row` as Pinecone takes it, its text among the metadata.

    Raises:
        MigrateError: a field of its metadata has a name that is taken, or cannot be stored.
    """
    key = keys.pinecone_key(row.id)
    added: dict[str, Any] = {keys.TEXT: row.text} | ({} if key == row.id else {keys.ID: row.id})
    # A float32 in its shortest digits takes half the bytes of the same number widened to Python's float.
    values = orjson.loads(orjson.dumps(row.vector, option=orjson.OPT_SERIALIZE_NUMPY))
    return {"id": key, "values": values, "metadata": keys.merged(flat(row.metadata, row.id, lists=True), added)}
