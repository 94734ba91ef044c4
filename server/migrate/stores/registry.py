"""The table of all stores. Pure: the modules that open, read or write a store are imported on first use."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.migrate.errors import MigrateError
from server.migrate.stores.address import Address, AddressForm
from server.migrate.stores.chroma.address import FORM as CHROMA
from server.migrate.stores.lancedb.address import FORM as LANCEDB
from server.migrate.stores.pgvector.address import FORM as PGVECTOR
from server.migrate.stores.pinecone.address import FORM as PINECONE
from server.migrate.stores.qdrant.address import FORM as QDRANT
from server.secret import mask

if TYPE_CHECKING:
    # Not imported: the Makefile asks for a job's environment before there is one, and with it numpy.
    from server.model.output_types import OutputName


@dataclass(frozen=True, slots=True)
class Store:
    """A store, implemented in a subfolder: `open.py`, `sink.py` and, if `readable`, `source.py`.

    `types` are the output types that it holds. An `offline` store also accepts a folder instead of an address, and
    writes files there for a later upload.
    """

    form: AddressForm
    readable: bool = False
    types: "tuple[OutputName, ...]" = ("float",)
    offline: bool = False

    def module(self, name: str) -> str:
        """Return the full name of the module `name` in the store's folder."""
        return f"{__package__}.{self.form.store}.{name}"


STORES = {
    store.form.store: store
    for store in (
        Store(CHROMA, readable=True),
        Store(LANCEDB, types=("float", "float16", "ubinary")),
        Store(PGVECTOR, readable=True, types=("float", "float16", "ubinary")),
        Store(PINECONE, offline=True),
        Store(QDRANT, readable=True, types=("float", "float16", "uint8")),
    )
}
_SCHEMES = {scheme: name for name, store in STORES.items() for scheme in store.form.schemes}


def is_address(text: str) -> bool:
    """Return whether `text` is a store's address rather than a file name."""
    return text.partition(":")[0].lower() in _SCHEMES and ":" in text


def store_of(text: str) -> str:
    """Return the name of the store that an address belongs to."""
    return _SCHEMES[text.partition(":")[0].lower()]


def parse(text: str) -> Address:
    """Parse an address of any store.

    Raises:
        MigrateError: it is not an address, or contains a key, which must be in the environment; the message shows no
            secret.
    """
    if not is_address(text):
        written = "; ".join(store.form.written for store in STORES.values())
        raise MigrateError(f"{mask(text)} is no store's address; write one of: {written}")
    return STORES[store_of(text)].form.parse(text)
