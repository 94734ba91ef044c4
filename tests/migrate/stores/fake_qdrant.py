"""A fake of the part of Qdrant's REST API that sink and source use, backed by the client's local mode."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.migrate.stores.faulty import Handler, listening

models: Any = pytest.importorskip("qdrant_client.models", reason="needs requirements/stores.txt")
KEY = "qdrant-secret-key"
ROUTE = re.compile(r"/collections/([^/]+)(/.*)?")


class FakeQdrant:
    """A fake Qdrant server."""

    def __init__(self) -> None:
        self.local: Any = pytest.importorskip("qdrant_client").QdrantClient(":memory:")
        self.lock = threading.Lock()
        self.url = ""

    @contextmanager
    def running(self) -> Iterator["FakeQdrant"]:
        """Serve during the block."""
        server = self

        class Rest(Handler):
            def handle_any(self) -> None:
                body = self.body()
                if self.headers.get("api-key") != KEY:
                    self.reply(401, b'{"status": {"error": "Invalid API key"}}')
                    return
                with server.lock:
                    status, result = server.answer(self.command, self.path, json.loads(body or b"{}"))
                self.reply(status, json.dumps({"result": result, "status": "ok", "time": 0.0}).encode())

        with listening(Rest) as listener:
            self.url = f"http://127.0.0.1:{listener.server_address[1]}"
            try:
                yield self
            finally:
                self.local.close()

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Handle a request; return status and body."""
        if urlsplit(path).path == "/collections/aliases":
            return 200, self._alias(body)
        match = ROUTE.fullmatch(urlsplit(path).path)
        if not match:
            return 404, None
        routes: dict[str, Callable[[str, dict[str, Any]], Any]] = {
            "GET /exists": lambda name, _: {"exists": self.local.collection_exists(name)},
            "GET ": lambda name, _: _plain(self.local.get_collection(name)),
            "PUT ": self._create,
            "PATCH ": self._update,
            "DELETE ": lambda name, _: self.local.delete_collection(name),
            "PUT /points": self._upsert,
            "POST /points": self._retrieve,
            "POST /points/scroll": self._scroll,
            "POST /points/count": lambda name, _: _plain(self.local.count(name, exact=True)),
        }
        work = routes.get(f"{method} {match[2] or ''}")
        return (200, work(match[1], body)) if work else (404, None)

    def _alias(self, asked: dict[str, Any]) -> Any:
        kinds = {"create_alias": models.CreateAliasOperation, "delete_alias": models.DeleteAliasOperation}
        actions = [kinds[name](**action) for action in asked["actions"] for name in action]
        return self.local.update_collection_aliases(actions)

    def _create(self, name: str, asked: dict[str, Any]) -> Any:
        size = models.VectorParams(**asked["vectors"])
        return self.local.create_collection(name, vectors_config=size, metadata=asked.get("metadata"))

    def _update(self, name: str, asked: dict[str, Any]) -> Any:
        if "quantization_config" in asked:
            # Local mode does not quantize; this checks the shape.
            models.ScalarQuantization(**asked["quantization_config"])
        return self.local.update_collection(name, metadata=asked.get("metadata"))

    def _upsert(self, name: str, asked: dict[str, Any]) -> Any:
        return _plain(self.local.upsert(name, models.Batch(**asked["batch"])))

    def _retrieve(self, name: str, asked: dict[str, Any]) -> Any:
        return [
            _plain(one) for one in self.local.retrieve(name, asked["ids"], asked["with_payload"], asked["with_vector"])
        ]

    def _scroll(self, name: str, asked: dict[str, Any]) -> Any:
        points, after = self.local.scroll(
            name, limit=asked["limit"], offset=asked.get("offset"), with_payload=asked["with_payload"]
        )
        return {"points": [_plain(one) for one in points], "next_page_offset": after}


def _plain(model: Any) -> Any:
    return model.model_dump(mode="json")
