"""Which class reads which store."""

from collections.abc import Callable
from pathlib import Path

from server.migrate.commands.vector_file import RowFile, VectorFile
from server.migrate.stores import address
from server.migrate.stores.chroma.open import Chroma
from server.migrate.stores.lancedb.open import Lance
from server.migrate.stores.pgvector.open import PgTable
from server.migrate.stores.pinecone.open import PineconeNamespace
from server.migrate.stores.qdrant.open import Qdrant
from server.migrate.stores.stored import Stored

STORES: dict[str, Callable[[address.Address], Stored]] = {
    "chroma": Chroma,
    "lancedb": Lance,
    "pgvector": PgTable,
    "pinecone": PineconeNamespace,
    "qdrant": Qdrant,
}


def open_stored(where: str) -> Stored:
    """Open a store by its address, or a file of vectors by its path.

    Raises:
        MigrateError: it cannot be opened, or a client library is missing.
    """
    if not address.is_address(where):
        path = Path(where)
        return RowFile(path) if path.suffix in RowFile.SUFFIXES else VectorFile(path)
    place = address.parse(where)
    return STORES[place.store](place)
