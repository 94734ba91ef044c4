"""Stores that are down, overloaded, or drop responses; foreign targets; secrets."""

import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.migrate.errors import MigrateError
from tests.migrate.stores import fake_pinecone, fake_qdrant
from tests.migrate.stores.conftest import address, free_port
from tests.migrate.stores.faulty import Proxy
from tests.migrate.stores.opening import opened
from tests.migrate.stores.rows import check, rows, target

chromadb = pytest.importorskip("chromadb", reason="needs requirements/stores.txt")
KINDS = ("chroma-server", "qdrant-server", "pinecone")
DOWN = {"chroma": "chroma+http", "qdrant": "qdrant+http", "pinecone": "pinecone+http", "pgvector": "postgresql"}


@pytest.fixture
def proxy(request: pytest.FixtureRequest) -> Iterator[tuple[Proxy, str]]:
    """A proxy in front of a store, and the address of a target through it."""
    upstream = request.getfixturevalue(request.param.replace("-", "_"))
    with Proxy(upstream if isinstance(upstream, str) else upstream.url).running() as between:
        yield between, f"{request.param.removesuffix('-server')}+{between.url}#docs_{time.monotonic_ns()}"


through_a_proxy = pytest.mark.parametrize("proxy", KINDS, indirect=True)


@through_a_proxy
def test_lost_answers_double_nothing(proxy: tuple[Proxy, str]) -> None:
    between, output = proxy
    with opened(output, target()) as sink:
        between.lose = 2
        sink.write(rows(30))
        sink.finish()
        assert between.lost == 2
        check(sink, rows(30))


@through_a_proxy
@pytest.mark.parametrize("status", [429, 503])
def test_an_overloaded_store_gets_its_rows_later(proxy: tuple[Proxy, str], status: int) -> None:
    between, output = proxy
    with opened(output, target()) as sink:
        between.refuse, between.status = 2, status
        sink.write(rows(30))
        sink.finish()
        assert between.refused == 2
        check(sink, rows(30))


@through_a_proxy
def test_a_store_that_stays_overloaded_ends_the_job_in_one_line(proxy: tuple[Proxy, str]) -> None:
    between, output = proxy
    with opened(output, target()) as sink:
        between.refuse = 1000
        with pytest.raises(MigrateError, match=r"30 rows cannot be stored: .+") as caught:
            sink.write(rows(30))
        assert "\n" not in str(caught.value)
        assert between.refused < 60


@pytest.mark.parametrize("store", DOWN)
def test_a_store_that_is_down_is_named(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINECONE_API_KEY", fake_pinecone.KEY)
    monkeypatch.setattr("pinecone._internal.http_client._retry_sleep", lambda _: None)
    output = f"{DOWN[store]}://127.0.0.1:{free_port()}{'/db' if store == 'pgvector' else ''}#docs"
    with (
        pytest.raises(MigrateError, match=rf"^{store}:\w+://127.0.0.1:\d+(/db)?#docs:? cannot be (opened|read): .+"),
        opened(output, target()),
    ):
        pass


@pytest.mark.parametrize("output", ["pgvector"], indirect=True)
def test_a_lost_connection_to_postgresql_is_made_again(output: str) -> None:
    psycopg = pytest.importorskip("psycopg", reason="needs requirements/stores.txt")
    with opened(output, target()) as sink:
        sink.write(rows(10))
        with psycopg.connect(output.rsplit("#", 1)[0], autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        sink.write(rows(20)[10:])
        sink.finish()
        check(sink, rows(20))


@pytest.mark.parametrize("output", ["pgvector"], indirect=True)
def test_a_table_of_someone_else_s_is_left_alone(output: str) -> None:
    psycopg = pytest.importorskip("psycopg", reason="needs requirements/stores.txt")
    url, name = output.rsplit("#", 1)
    with psycopg.connect(url) as connection:
        connection.execute(f"CREATE TABLE {name} AS SELECT 'mine' AS id")
    for fresh in (False, True):
        with (
            pytest.raises(MigrateError, match=r"exists \(1 rows\) and no migration made it"),
            opened(output, target(fresh=fresh)),
        ):
            pass
    with psycopg.connect(url) as connection:
        assert connection.execute(f"SELECT * FROM {name}").fetchall() == [("mine",)]  # noqa: S608 - a constant name


@pytest.mark.parametrize("fresh", [False, True])
def test_a_collection_of_someone_else_s_is_left_alone(tmp_path: Path, fresh: bool) -> None:
    client = chromadb.PersistentClient(str(tmp_path / "chroma"), chromadb.config.Settings(anonymized_telemetry=False))
    client.create_collection("docs", embedding_function=None).add(ids=["mine"], embeddings=[[0.0, 1.0]])
    with (
        pytest.raises(MigrateError, match=r"exists \(1 rows of 2 dimensions\) and no migration made it"),
        opened(f"chroma:{tmp_path / 'chroma'}#docs", target(fresh=fresh)),
    ):
        pass
    assert client.get_collection("docs", embedding_function=None).count() == 1
    client.close()


@pytest.mark.parametrize("output", ["qdrant-server", "pinecone", "pgvector"], indirect=True)
def test_secrets_are_in_no_message(
    output: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = [fake_pinecone.KEY, fake_qdrant.KEY, "pg-password"]
    output = output.replace("postgres:@", "postgres:pg-password@")
    with opened(output, target()) as sink:
        sink.write(rows(5))
        said = [sink.identity(), repr(sink), repr(vars(sink).get("address")), caplog.text]
    monkeypatch.setenv("QDRANT_API_KEY", "wrong")
    monkeypatch.setenv("PINECONE_API_KEY", "wrong")
    with pytest.raises(MigrateError) as caught, opened(output.replace("host=", "host=/nowhere"), target()):
        pass
    assert not [secret for secret in secrets if secret in " ".join([*said, str(caught.value)])]


def test_pinecone_asks_for_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PINECONE_API_KEY", raising=False)
    with (
        pytest.raises(MigrateError, match="set PINECONE_API_KEY"),
        opened("pinecone://index.svc.pinecone.io#docs", target()),
    ):
        pass


@pytest.mark.parametrize(("kind", "module"), [("chroma", "chromadb"), ("qdrant", "qdrant_client"), ("faiss", "faiss")])
def test_a_missing_client_says_how_to_install_it(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, module: str
) -> None:
    output = address(request, tmp_path, kind)
    monkeypatch.setitem(sys.modules, module, None)
    with (
        pytest.raises(MigrateError, match=rf"{module} .*pip install -r requirements/stores.txt"),
        opened(output, target()),
    ):
        pass
