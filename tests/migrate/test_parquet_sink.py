from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet

from server.migrate.sinks.parquet import space
from tests.unit.server.migrate.sinks.contract import FileSinkContract
from tests.unit.server.migrate.sinks.rows import DIMENSION, SPACE, rows


class TestParquet(FileSinkContract):
    name = "parquet"

    def test_arrow_reads_fixed_size_lists_of_float32(self, tmp_path: Path) -> None:
        self.whole(tmp_path / "a")
        table = pyarrow.parquet.read_table(tmp_path / "a" / "out.parquet")
        assert table.schema.field("embedding").type == pyarrow.list_(pyarrow.float32(), DIMENSION)
        assert table.column("text").to_pylist() == [row.text for row in rows(0, 10)]
        assert table.column("metadata").to_pylist()[:2] == [None, '{"n":1}']
        assert table.schema.metadata == {b"embedding_space": SPACE.encode()}
        assert space(tmp_path / "a" / "out.parquet") == SPACE
        assert np.array_equal(table.column("embedding").to_pylist(), np.stack([row.vector for row in rows(0, 10)]))
