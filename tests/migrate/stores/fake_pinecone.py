"""A fake of the part of Pinecone's data plane API that the sink uses, with its limits (docs.pinecone.io)."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.migrate.stores.faulty import Handler, listening

KEY = "pc-secret-key"
MOST_RECORDS, MOST_BYTES, MOST_METADATA = 1000, 2 * 1000 * 1000, 40_000
PAGE = 40


class FakePinecone:
    """A server with one index."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.namespaces: dict[str, dict[str, Any]] = {}
        self.lock = threading.Lock()
        self.url = ""

    @contextmanager
    def running(self) -> Iterator["FakePinecone"]:
        """Serve during the block."""
        index = self

        class Plane(Handler):
            def handle_any(self) -> None:
                body = self.body()
                with index.lock:
                    status, answer = index.answer(self.path, body, self.headers.get("api-key"))
                self.reply(status, json.dumps(answer).encode())

        with listening(Plane) as server:
            self.url = f"http://127.0.0.1:{server.server_address[1]}"
            yield self

    def answer(self, path: str, body: bytes, key: str | None) -> tuple[int, dict[str, Any]]:
        """Handle a request; return status and body."""
        if key != KEY:
            return 401, {"message": "Invalid API Key"}
        url = urlsplit(path)
        asked = parse_qs(url.query)
        if url.path == "/describe_index_stats":
            return 200, self._stats()
        if url.path == "/vectors/upsert":
            return self._upsert(body)
        held = self.namespaces.get(asked.get("namespace", [""])[0], {})
        if url.path == "/vectors/fetch":
            return 200, {"vectors": {id_: held[id_] for id_ in asked["ids"] if id_ in held}}
        if url.path == "/vectors/list":
            return 200, _listed(sorted(held), asked)
        return 404, {"message": f"no such route: {url.path}"}

    def _stats(self) -> dict[str, Any]:
        spaces = {name: {"vectorCount": len(held)} for name, held in self.namespaces.items()}
        total = sum(len(held) for held in self.namespaces.values())
        return {"namespaces": spaces, "dimension": self.dimension, "indexFullness": 0, "totalVectorCount": total}

    def _upsert(self, body: bytes) -> tuple[int, dict[str, Any]]:
        asked = json.loads(body)
        records = asked["vectors"]
        if len(body) > MOST_BYTES or len(records) > MOST_RECORDS:
            return 400, {"message": f"{len(records)} records, {len(body)} bytes"}
        for record in records:
            metadata = record.get("metadata", {})
            right = record["id"].isascii() and len(record["id"]) <= 512 and len(record["values"]) == self.dimension
            if not right or len(json.dumps(metadata)) > MOST_METADATA or None in metadata.values():
                return 400, {"message": f"bad record {record['id']}"}
        space = self.namespaces.setdefault(asked.get("namespace", ""), {})
        space |= {record["id"]: record for record in records}
        return 200, {"upsertedCount": len(records)}


def _listed(ids: list[str], asked: dict[str, list[str]]) -> dict[str, Any]:
    start = int(asked.get("paginationToken", ["0"])[0])
    more = start + PAGE < len(ids)
    page: dict[str, Any] = {"vectors": [{"id": id_} for id_ in ids[start : start + PAGE]]}
    return page | ({"pagination": {"next": str(start + PAGE)}} if more else {})
