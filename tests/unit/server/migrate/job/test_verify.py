import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from server.inference.engine import Vectors
from server.migrate.errors import MigrateError
from server.migrate.job.verify import verify
from server.migrate.record import Row
from server.migrate.sinks.npy import NpySink
from tests.unit.server.migrate.sinks.rows import rows, target


class Changed(NpySink):
    """A target that returns other data than was written."""

    def __init__(self, final: Path) -> None:
        super().__init__(final)
        self.change = {"vectors": 1.0, "rows": 0, "lost": 0}

    def count(self) -> int:
        return super().count() + int(self.change["rows"])

    def fetch(self, rows: Sequence[tuple[int, str]]) -> Mapping[str, Vectors]:
        fetched = dict(super().fetch(rows))
        for id_ in list(fetched)[: int(self.change["lost"])]:
            del fetched[id_]
        return {id_: vector * np.float32(self.change["vectors"]) for id_, vector in fetched.items()}


@pytest.fixture
def sink(tmp_path: Path) -> Changed:
    made = Changed(tmp_path / "out.npy")
    made.open(target())
    made.write(rows(0, 10))
    made.finish()
    return made


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "sample.jsonl"
    path.write_text("".join(json.dumps([row.place, row.id, row.text]) + "\n" for row in rows(0, 10)))
    return path


def again(texts: list[str]) -> Vectors:
    by_text: dict[str, Row] = {row.text: row for row in rows(0, 10)}
    return np.stack([by_text[text].vector for text in texts])


def test_what_was_written_is_found(sink: Changed, kept: Path) -> None:
    verified = verify(sink, 10, kept, again, "fp32")
    assert (verified.rows, verified.sample) == (10, 10)
    assert verified.least_cosine == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("what", "value", "said"),
    [
        ("rows", 1, "holds 11 rows, 10 were written"),
        ("lost", 2, "2 of 10 sampled ids are not in the target"),
        ("vectors", 0.5, "not of unit length"),
        ("vectors", np.nan, "not finite"),
        ("vectors", -1, "has a cosine of -1.0"),
    ],
)
def test_what_differs_is_told(sink: Changed, kept: Path, what: str, value: float, said: str) -> None:
    sink.change[what] = value
    with pytest.raises(MigrateError, match=said):
        verify(sink, 10, kept, again, "fp32")
