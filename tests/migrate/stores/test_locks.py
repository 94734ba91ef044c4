"""Two processes that write to one store as the same job at the same time, as with a copied journal."""

import pytest

from server.migrate.errors import MigrateError
from tests.migrate.stores.opening import opened
from tests.migrate.stores.rows import check, rows, target

pytest.importorskip("chromadb", reason="needs requirements/stores.txt")


@pytest.mark.parametrize("output", ["chroma", "lancedb", "pgvector"], indirect=True)
def test_a_store_that_holds_a_lock_lets_one_in_and_the_next_when_it_is_done(output: str) -> None:
    with opened(output, target()) as sink:
        sink.write(rows(10))
        with pytest.raises(MigrateError, match="is being written already"), opened(output, target(10)):
            pass
        sink.write(rows(20)[10:])
    with opened(output, target(20)) as sink:
        sink.finish()
        check(sink, rows(20))
