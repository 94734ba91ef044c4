"""A migration gives the vectors that the server gives, in every format of files."""

from pathlib import Path

import numpy as np
import pytest

from server.migrate.sinks.registry import read
from tests.faults.migration import finish, start, write_texts
from tests.serving import Served

TEXTS = 60


@pytest.mark.parametrize("name", ["npy", "npz", "jsonl"])
def test_vectors_are_the_server_s(int8: Served, tmp_path: Path, name: str) -> None:
    source = write_texts(tmp_path / "texts.json", TEXTS)
    status, _, err = finish(start(source, tmp_path / f"kept.{name}"))
    assert status == 0, err
    status, _, err = finish(start(source, tmp_path / "texts.jsonl"))
    assert status == 0, err
    rows = list(read(str(tmp_path / f"kept.{name}"), name))
    texts = [row.text for row in read(str(tmp_path / "texts.jsonl"), "jsonl")]
    served = np.array(int8.embed(texts), np.float32)
    assert [row.id for row in rows] == [f"id-{number}" for number in range(TEXTS)]
    assert ((np.stack([row.vector for row in rows]) * served).sum(axis=1)).min() > 0.999
