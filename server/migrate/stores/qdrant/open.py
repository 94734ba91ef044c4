"""Opens and reads a Qdrant collection, on a server or in a folder (the client's local mode)."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from server.inference.engine import Vectors
from server.migrate import optional
from server.migrate.errors import MigrateError
from server.migrate.stores import keys
from server.migrate.stores.address import Address
from server.migrate.stores.claim import output_of, space_of
from server.migrate.stores.qdrant.address import FORM
from server.migrate.stores.retry import never_transient, retried
from server.migrate.stores.stored import Stored, chunks
from server.service.output import Output

PAGE = 256
TIMEOUT_S = 60
# Shared clients with their use counts: a folder allows one client at a time, but input and output may both be in it.
_folders: dict[str, tuple[Any, int]] = {}


class Qdrant:
    """A connection to a collection that may not exist yet."""

    def __init__(self, address: Address) -> None:
        """Connect.

        Raises:
            MigrateError: the server does not answer, another process uses the folder, or the client is not installed.
        """
        self.name = address.collection
        self._where = str(address)
        self.passing = is_passing if address.remote else never_transient
        self._folder = "" if address.remote else address.location.reveal()
        self.models = optional.load("qdrant_client.models")
        self.client = retried(f"{self._where} cannot be opened", lambda: _connect(address))

    def exists(self) -> bool:
        """Return whether the collection exists.

        Raises:
            MigrateError: the server does not answer.
        """
        return bool(retried(f"{self._where} cannot be opened", partial(self.client.collection_exists, self.name)))

    def ids(self) -> Iterator[str]:
        """Yield the input's id of every point, in the order of Qdrant's point ids."""
        for page in self.pages([keys.ID]):
            yield from (keys.original(point.id, point.payload or {}) for point in page)

    def pages(self, payload: bool | list[str]) -> Iterator[list[Any]]:
        """Yield pages of points, without their vectors."""
        if not self.exists():
            raise MigrateError(f"{self._where}: there is no such collection")
        after = None
        while True:
            points, after = self._ask(partial(self._scroll, after, payload))
            yield points
            if after is None:
                return

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Vectors]:
        """Read vectors by the input's ids."""
        points = self._points(ids, with_payload=False, with_vectors=True)
        return {id_: self._vector(point) for id_, point in points}

    def texts(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Read the payload's field `text` by the input's ids."""
        points = self._points(ids, with_payload=[keys.TEXT])
        return {id_: text for id_, point in points if (text := (point.payload or {}).get(keys.TEXT))}

    def space(self) -> str:
        """Return the id in the collection's metadata."""
        return space_of(getattr(self.info(), "metadata", None))

    def output(self) -> Output:
        """Return the type in the collection's metadata."""
        return output_of(getattr(self.info(), "metadata", None))

    def count(self) -> int:
        """Count the points."""
        return int(self._ask(lambda: self.client.count(self.name, exact=True)).count)

    def info(self) -> Any:  # noqa: ANN401 - the client's own
        """Return the collection's configuration, including its mark."""
        return self._ask(lambda: self.client.get_collection(self.name)).config

    def close(self) -> None:
        """Close the client, unless another collection in the same folder still uses it."""
        client, users = _folders.get(self._folder, (self.client, 1))
        if users > 1:
            _folders[self._folder] = client, users - 1
            return
        _folders.pop(self._folder, None)
        client.close()

    def _points(self, ids: Sequence[str], **wanted: object) -> Iterator[tuple[str, Any]]:
        """Yield the points of the input's ids, each with its id."""
        asked = {str(keys.qdrant_key(id_)): id_ for id_ in ids}
        for part in chunks(map(keys.qdrant_key, ids), PAGE):
            for point in self._ask(partial(self.client.retrieve, self.name, part, **wanted)):
                yield asked[str(point.id)], point

    def _scroll(self, after: object, payload: bool | list[str]) -> Any:  # noqa: ANN401 - the client's own
        return self.client.scroll(self.name, limit=PAGE, offset=after, with_payload=payload, with_vectors=False)

    def _vector(self, point: Any) -> Vectors:  # noqa: ANN401 - the client's own
        if isinstance(point.vector, Mapping):
            raise MigrateError(
                f"{self._where} has named vectors ({', '.join(point.vector)}), of which none can be chosen"
            )
        return np.asarray(point.vector, np.float32)

    def _ask(self, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - the client's own
        return retried(f"{self._where} cannot be read", work, self.passing)


def open_store(address: Address) -> Stored:
    """Connect to the collection that `address` names.

    Raises:
        MigrateError: it cannot be opened, or the client is not installed.
    """
    return Qdrant(address)


def is_passing(error: BaseException) -> bool:
    """Return whether a server's fault is transient: no answer, too many requests, or an internal error."""
    exceptions = optional.load("qdrant_client.http.exceptions")
    exhausted = optional.load("qdrant_client.common.client_exceptions").ResourceExhaustedResponse
    if isinstance(error, exceptions.UnexpectedResponse):
        return error.status_code == 429 or (error.status_code or 500) >= 500
    return isinstance(error, exceptions.ResponseHandlingException | exhausted)


def _connect(address: Address) -> Any:  # noqa: ANN401 - the client's own
    client = optional.load("qdrant_client").QdrantClient
    place = address.location.reveal()
    if not address.remote:
        opened, users = _folders.get(place) or (client(path=place), 0)
        _folders[place] = opened, users + 1
        return opened
    key = os.environ.get(FORM.key)
    # The version check would send a request during construction, and only warn if the server is down.
    return client(url=place, api_key=key, timeout=TIMEOUT_S, check_compatibility=False)
