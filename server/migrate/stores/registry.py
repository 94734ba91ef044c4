"""The stores, in one table. Pure: what opens, reads or writes a store is imported when it is asked for."""

from dataclasses import dataclass

from server.migrate.errors import MigrateError
from server.migrate.stores.address import Address, AddressForm
from server.migrate.stores.chroma.address import FORM as CHROMA
from server.migrate.stores.lancedb.address import FORM as LANCEDB
from server.migrate.stores.pgvector.address import FORM as PGVECTOR
from server.migrate.stores.pinecone.address import FORM as PINECONE
from server.migrate.stores.qdrant.address import FORM as QDRANT
from server.secret import mask


@dataclass(frozen=True, slots=True)
class Store:
    """A store with a folder here: `open.py`, `sink.py` and, where it is `readable`, `source.py`.

    One that works `offline` takes the name of a folder in place of an address, and writes files for a later upload.
    """

    form: AddressForm
    readable: bool = False
    offline: bool = False

    def module(self, name: str) -> str:
        """Name the module of its folder that opens, reads or writes it."""
        return f"{__package__}.{self.form.store}.{name}"


STORES = {
    store.form.store: store
    for store in (
        Store(CHROMA, readable=True),
        Store(LANCEDB),
        Store(PGVECTOR, readable=True),
        Store(PINECONE, offline=True),
        Store(QDRANT, readable=True),
    )
}
_SCHEMES = {scheme: name for name, store in STORES.items() for scheme in store.form.schemes}


def is_address(text: str) -> bool:
    """Tell an address of a store from the name of a file."""
    return text.partition(":")[0].lower() in _SCHEMES and ":" in text


def store_of(text: str) -> str:
    """Tell the store that an address is of."""
    return _SCHEMES[text.partition(":")[0].lower()]


def parse(text: str) -> Address:
    """Read an address of any store.

    Raises:
        MigrateError: it is not one, or holds a key that belongs into the environment; the message shows no secret.
    """
    if not is_address(text):
        written = "; ".join(store.form.written for store in STORES.values())
        raise MigrateError(f"{mask(text)} is no store's address; write one of: {written}")
    return STORES[store_of(text)].form.parse(text)
