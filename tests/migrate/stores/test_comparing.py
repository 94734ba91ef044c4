"""Comparing two stores by their common ids."""

from pathlib import Path

import numpy as np
import orjson
import pytest

from server.migrate.commands.compare import compare_stores
from server.migrate.errors import MigrateError
from tests.migrate.stores.conftest import ALL
from tests.migrate.stores.opening import opened
from tests.migrate.stores.rows import rows, target, vectors

pytest.importorskip("chromadb", reason="needs requirements/stores.txt")
COUNT = 120


@pytest.mark.parametrize("output", [kind for kind in ALL if "shards" not in kind], indirect=True)
def test_a_store_and_a_file_of_the_same_vectors_have_the_same_neighbours(output: str, tmp_path: Path) -> None:
    written = rows(COUNT)
    with opened(output, target()) as sink:
        sink.write(written)
        sink.finish()
    wider = np.pad(np.stack([row.vector for row in written]), ((0, 0), (0, 8)))[::-1]
    np.save(tmp_path / "new.npy", wider)
    ids = b"".join(orjson.dumps(row.id) + b"\n" for row in reversed(written))
    (tmp_path / "new.ids.jsonl").write_bytes(ids)
    comparison = compare_stores(output, str(tmp_path / "new.npy"), sample=100, queries=20)
    assert (comparison.sample, comparison.queries) == (100, 20)
    assert (comparison.overlap, comparison.first_changed) == (1.0, 0.0)


def test_files_without_ids_are_compared_row_by_row(tmp_path: Path) -> None:
    np.save(tmp_path / "old.npy", vectors(COUNT))
    np.save(tmp_path / "new.npy", vectors(COUNT, 16, seed=1))
    comparison = compare_stores(str(tmp_path / "old.npy"), str(tmp_path / "new.npy"))
    assert comparison.sample == COUNT
    assert comparison.overlap < 0.3
    assert len(comparison.lines()) == 3 + len(comparison.examples)


def test_stores_without_common_ids_are_refused(tmp_path: Path) -> None:
    for name, id_ in (("old", "a"), ("new", "a#0")):
        np.save(tmp_path / f"{name}.npy", vectors(1))
        (tmp_path / f"{name}.ids.jsonl").write_bytes(orjson.dumps(id_) + b"\n")
    with pytest.raises(MigrateError, match="0 of 1 sampled ids of the old store are in the new one"):
        compare_stores(str(tmp_path / "old.npy"), str(tmp_path / "new.npy"))


def test_what_holds_no_vectors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npy").write_text("not an array")
    np.save(tmp_path / "flat.npy", np.zeros(3))
    for name in ("text.npy", "flat.npy", "missing.npy"):
        with pytest.raises(MigrateError, match=name):
            compare_stores(str(tmp_path / name), str(tmp_path / name))
