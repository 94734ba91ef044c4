"""Opens and reads a Chroma collection, in a folder or on a server."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from server.inference.engine import Vectors
from server.migrate import optional
from server.migrate.errors import MigrateError
from server.migrate.stores.address import Address
from server.migrate.stores.chroma.address import FORM
from server.migrate.stores.claim import space_of
from server.migrate.stores.retry import never_transient, reason, retried
from server.migrate.stores.stored import Stored, chunks
from server.service.output import Output

PAGE = 1000
TENANT, DATABASE = "CHROMA_TENANT", "CHROMA_DATABASE"


class Chroma:
    """A connection and, if it exists, the collection."""

    def __init__(self, address: Address) -> None:
        """Connect.

        Raises:
            MigrateError: the server does not answer, or the client is not installed.
        """
        self.name = address.collection
        self._where = str(address)
        self.passing = is_passing if address.remote else never_transient
        self.client = retried(f"{self._where} cannot be opened", lambda: _connect(address))
        self.batch = max(1, int(self.client.get_max_batch_size()))
        self.collection = self._find()

    def ids(self) -> Iterator[str]:
        """Yield every id, in the order in which Chroma first saw them."""
        for page in self.pages(0, []):
            yield from page["ids"]

    def pages(self, start: int, include: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """Yield pages of entries from number `start` on."""
        collection = self.existing()
        while True:
            page = self._ask(partial(collection.get, limit=PAGE, offset=start, include=list(include)))
            if not page["ids"]:
                return
            yield page
            start += len(page["ids"])

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Vectors]:
        """Read vectors by id."""
        vectors: dict[str, Vectors] = {}
        for page in self._entries(ids, "embeddings"):
            vectors |= dict(zip(page["ids"], np.asarray(page["embeddings"], np.float32), strict=True))
        return vectors

    def texts(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Read documents by id."""
        pages = self._entries(ids, "documents")
        found = (pair for page in pages for pair in zip(page["ids"], page["documents"], strict=True))
        return {id_: text for id_, text in found if text}

    def space(self) -> str:
        """Return the id in the collection's metadata."""
        return space_of(self.existing().metadata)

    def output(self) -> Output:
        """Return float32's: Chroma has no other type."""
        return Output()

    def count(self) -> int:
        """Count the entries."""
        return int(self._ask(self.existing().count))

    def existing(self) -> Any:  # noqa: ANN401 - the client's own
        """Return the collection.

        Raises:
            MigrateError: there is none.
        """
        if self.collection is None:
            raise MigrateError(f"{self._where}: there is no such collection")
        return self.collection

    def close(self) -> None:
        """Close the connection; the folder can be opened again at once."""
        self.collection = None
        self.client.close()

    def _entries(self, ids: Sequence[str], included: str) -> Iterator[Mapping[str, Any]]:
        collection = self.existing()
        for part in chunks(ids, min(self.batch, PAGE)):
            yield self._ask(partial(collection.get, ids=part, include=[included]))

    def _find(self) -> Any:  # noqa: ANN401 - the client's own
        missing = optional.load("chromadb.errors").NotFoundError
        try:
            return self.client.get_collection(self.name, embedding_function=None)
        except missing:
            return None
        # For an invalid name Chroma raises a ValueError or one of its own errors.
        except Exception as error:
            raise MigrateError(f"{self._where} cannot be opened: {reason(error)}") from error

    def _ask(self, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - the client's own
        return retried(f"{self._where} cannot be read", work, self.passing)


def open_store(address: Address) -> Stored:
    """Connect to the collection that `address` names.

    Raises:
        MigrateError: it cannot be opened, or the client is not installed.
    """
    return Chroma(address)


def is_passing(error: BaseException) -> bool:
    """Return whether a server's fault is transient: no answer, too many requests, or an internal error."""
    httpx = optional.load("httpx")
    if isinstance(error, httpx.HTTPStatusError):
        return bool(error.response.status_code == 429 or error.response.status_code >= 500)
    name = type(error).__name__
    # chromadb raises an unknown error as a bare Exception, with the response body as its text.
    return isinstance(error, httpx.TransportError) or name in ("RateLimitError", "InternalError", "Exception")


def _connect(address: Address) -> Any:  # noqa: ANN401 - the client's own
    chromadb = optional.load("chromadb")
    settings = optional.load("chromadb.config").Settings(anonymized_telemetry=False)
    if not address.remote:
        return chromadb.PersistentClient(path=address.location.reveal(), settings=settings)
    url = urlsplit(address.location.reveal())
    key = os.environ.get(FORM.key)
    return chromadb.HttpClient(
        host=url.hostname,
        port=url.port or (443 if url.scheme == "https" else 80),
        ssl=url.scheme == "https",
        headers={"x-chroma-token": key} if key else None,
        settings=settings,
        tenant=os.environ.get(TENANT, "default_tenant"),
        database=os.environ.get(DATABASE, "default_database"),
    )
