import json
from pathlib import Path

import numpy as np

from server.migrate.sinks.vector_rows import header
from tests.unit.server.migrate.sinks.contract import FileSinkContract
from tests.unit.server.migrate.sinks.rows import DIMENSION, rows


class TestNpy(FileSinkContract):
    name = "npy"

    def test_numpy_reads_it_with_the_ids_beside_it(self, tmp_path: Path) -> None:
        self.whole(tmp_path / "a")
        vectors = np.load(tmp_path / "a" / "out.npy", mmap_mode="r")
        assert (vectors.dtype, vectors.shape) == (np.dtype("<f4"), (10, DIMENSION))
        ids = [json.loads(line) for line in (tmp_path / "a" / "out.ids.jsonl").read_text().splitlines()]
        assert ids == [row.id for row in rows(0, 10)]

    def test_a_header_is_equally_long_for_any_number_of_rows(self) -> None:
        assert len({len(header(count, 1024)) for count in (0, 1, 10**9, 10**15)}) == 1
