from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from server.migrate.errors import MigrateError
from server.migrate.sinks.npz import space
from tests.unit.server.migrate.sinks.contract import FileSinkContract
from tests.unit.server.migrate.sinks.rows import SPACE, rows, target


class TestNpz(FileSinkContract):
    name = "npz"

    def test_numpy_reads_it(self, tmp_path: Path) -> None:
        self.whole(tmp_path / "a")
        with np.load(tmp_path / "a" / "out.npz") as arrays:
            assert arrays["ids"].tolist() == [row.id for row in rows(0, 10)]
            assert np.array_equal(arrays["embeddings"], np.stack([row.vector for row in rows(0, 10)]))
            assert str(arrays["space"]) == SPACE
        assert space(tmp_path / "a" / "out.npz") == SPACE

    def test_a_file_of_an_earlier_version_says_no_space(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "old.npz", embeddings=np.zeros((0, 6), np.float32), ids=np.empty(0, "<U1"))
        assert space(tmp_path / "old.npz") == ""

    def test_an_id_that_would_make_all_others_long_is_refused(self, tmp_path: Path) -> None:
        sink = self.make(tmp_path)
        sink.open(target())
        with pytest.raises(MigrateError, match="choose --format npy"):
            sink.write([replace(rows(0, 1)[0], id="x" * 2000)])
        sink.close()
