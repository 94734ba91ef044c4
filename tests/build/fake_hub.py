"""A local server with the part of the Hub's protocol that downloads need; drops connections on request."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from server.model.artifact import sha256

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class FakeHub:
    """Serves one model, `owner/tiny`; `drop_after` aborts the first download of the weights after that many bytes."""

    folder: Path
    drop_after: int = 0
    url: str = ""
    ranges: list[str] = field(default_factory=list)
    fetched: set[str] = field(default_factory=set)
    revisions: list[str] = field(default_factory=list)


@contextmanager
def serve(folder: Path, drop_after: int = 0) -> Iterator[FakeHub]:
    """Serve a snapshot as `owner/tiny` on a free local port."""
    hub = FakeHub(folder, drop_after)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub

    def log_message(self, *_: object) -> None:
        """Do not log."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        if self.path.startswith("/api/models/owner/tiny"):
            self._model()
        elif f"/owner/tiny/resolve/{COMMIT}/" in self.path:
            self._file(self.path.partition(COMMIT + "/")[2], body)
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _model(self) -> None:
        self.hub.revisions.append(self.path.partition("/revision/")[2])
        names = [path.relative_to(self.hub.folder).as_posix() for path in self.hub.folder.rglob("*") if path.is_file()]
        siblings = [{"rfilename": name} for name in sorted(names)]
        answer = {"id": "owner/tiny", "sha": COMMIT, "siblings": siblings, "cardData": {"license": "mit"}}
        payload = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _file(self, name: str, body: bool) -> None:
        path = self.hub.folder / name
        content = path.read_bytes()
        wanted = self.headers.get("Range", "")
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted and body else 0
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{sha256(path)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if body:
            self._send(name, content, start, wanted)

    def _send(self, name: str, content: bytes, start: int, wanted: str) -> None:
        self.hub.fetched.add(name)
        if name.endswith(".safetensors") and wanted:
            self.hub.ranges.append(wanted)
        if name.endswith(".safetensors") and self.hub.drop_after and not start:
            self.wfile.write(content[: self.hub.drop_after])
            self.close_connection = True
            return
        self.wfile.write(content[start:])
