"""Opens and reads a namespace of a Pinecone index, and divides records into requests within Pinecone's limits."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import orjson

from server.inference.engine import Vectors
from server.migrate import optional
from server.migrate.errors import MigrateError
from server.migrate.stores import keys
from server.migrate.stores.address import Address
from server.migrate.stores.claim import space_of
from server.migrate.stores.pinecone.address import FORM
from server.migrate.stores.retry import retried
from server.migrate.stores.stored import Stored, chunks
from server.service.output import Output

# docs.pinecone.io/reference/api/database-limits/operation-limits; MB read as decimal, the smaller unit.
REQUEST_RECORDS = 1000
REQUEST_BYTES = 2_000_000
METADATA_BYTES = 40_000
# Bytes of a request besides its records: {"vectors":[…],"namespace":"…"}, with a namespace of up to 512 characters.
ENVELOPE_BYTES = 4096
# Ids go into a URL, and 100 of the longest stay within the usual limit of proxies.
FETCHED = 100
Record = dict[str, Any]


class PineconeNamespace:
    """One namespace; the index itself must exist."""

    def __init__(self, address: Address) -> None:
        """Create the client, which connects on the first request.

        Raises:
            MigrateError: there is no API key, or the client is not installed.
        """
        self._where = str(address)
        self.name = address.collection
        if not os.environ.get(FORM.key):
            raise MigrateError(f"{self._where} needs an API key; set {FORM.key} in the environment")
        client = optional.load("pinecone")
        self.index = retried(f"{self._where} cannot be opened", lambda: client.Index(host=address.location.reveal()))

    def stats(self) -> tuple[int | None, int]:
        """Return the index's dimension and the number of records in the namespace (eventually consistent)."""
        stats = self.ask("cannot be read", self.index.describe_index_stats)
        # The default namespace is listed under either name, depending on the version of the API.
        names = (self.name,) if self.name else ("", "__default__")
        return stats.dimension, sum(stats.namespaces[name].vector_count for name in names if name in stats.namespaces)

    def count(self) -> int:
        """Count the records visible so far."""
        return self.stats()[1]

    def upsert(self, records: Sequence[Record]) -> None:
        """Upsert `records` in one request."""
        what = f"{len(records)} rows cannot be stored"
        self.ask(what, lambda: self.index.upsert(vectors=records, namespace=self.name, show_progress=False))

    def ids(self) -> Iterator[str]:
        """Yield every id of the input."""
        token = None
        while True:
            page = self.ask(
                "cannot be read",
                partial(self.index.list_paginated, namespace=self.name, pagination_token=token, limit=FETCHED),
            )
            fetched = self._fetch([item.id for item in page.vectors])
            yield from (keys.original(key, record.metadata or {}) for key, record in fetched.items())
            token = page.pagination.next if page.pagination else None
            if not token:
                return

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Vectors]:
        """Read vectors by the input's ids."""
        return {id_: np.asarray(record.values, np.float32) for id_, record in self._records(ids)}

    def texts(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Read the metadata field `text` by the input's ids."""
        return {id_: text for id_, record in self._records(ids) if (text := (record.metadata or {}).get(keys.TEXT))}

    def space(self) -> str:
        """Return the id in the first record's metadata: a namespace carries none."""
        page = self.ask("cannot be read", partial(self.index.list_paginated, namespace=self.name, limit=1))
        records = self._fetch([item.id for item in page.vectors]).values()
        return next((space_of(record.metadata) for record in records), "")

    def output(self) -> Output:
        """Return float32's: Pinecone has no other type."""
        return Output()

    def close(self) -> None:
        """Close the connection."""
        self.index.close()

    def ask(self, fault: str, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - the client's own
        """Call `work`, retrying transient faults after longer pauses than the client's own retries."""
        return retried(f"{self._where}: {fault}", work, is_passing)

    def _records(self, ids: Sequence[str]) -> Iterator[tuple[str, Any]]:
        """Yield the records of the input's ids, each with its id."""
        asked = {keys.pinecone_key(id_): id_ for id_ in ids}
        for part in chunks(asked, FETCHED):
            yield from ((asked[key], record) for key, record in self._fetch(part).items())

    def _fetch(self, names: list[str]) -> Mapping[str, Any]:
        if not names:
            return {}
        answer = self.ask("cannot be read", lambda: self.index.fetch(ids=names, namespace=self.name))
        fetched: Mapping[str, Any] = answer.vectors
        return fetched


def open_store(address: Address) -> Stored:
    """Connect to the namespace that `address` names.

    Raises:
        MigrateError: it cannot be opened, or the client is not installed.
    """
    return PineconeNamespace(address)


def is_passing(error: BaseException) -> bool:
    """Return whether a fault is transient: no answer, too many requests, or an internal error."""
    errors = optional.load("pinecone.errors")
    if isinstance(error, errors.ApiError):
        return error.status_code in (408, 429) or error.status_code >= 500
    return isinstance(error, errors.PineconeConnectionError | errors.PineconeTimeoutError)


def requests(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Divide records, in order, into upserts within Pinecone's limits.

    Raises:
        MigrateError: the metadata of a record, including its text, is larger than Pinecone allows.
    """
    batch: list[Record] = []
    size = ENVELOPE_BYTES
    for record in records:
        _check_metadata(record)
        added = len(orjson.dumps(record)) + 1
        if batch and (len(batch) == REQUEST_RECORDS or size + added > REQUEST_BYTES):
            yield batch
            batch, size = [], ENVELOPE_BYTES
        batch.append(record)
        size += added
    if batch:
        yield batch


def _check_metadata(record: Record) -> None:
    size = len(orjson.dumps(record["metadata"]))
    if size > METADATA_BYTES:
        raise MigrateError(
            f"text and metadata of {record['metadata'].get(keys.ID, record['id'])} have {size} bytes, Pinecone takes "
            f"{METADATA_BYTES}; divide long texts with --chunk, or take fewer --metadata-fields"
        )
