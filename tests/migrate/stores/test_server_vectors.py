"""Every format, read by its own client, has the ids and texts of the input and the vectors of a running server."""

import json
from pathlib import Path

import numpy as np
import pytest

from server.inference.engine import Vectors
from server.migrate.__main__ import main
from tests.faults.migration import write_texts
from tests.migrate.stores.clients import entries
from tests.migrate.stores.conftest import ALL, address
from tests.migrate.stores.fake_pinecone import FakePinecone
from tests.serving import MINILM, MODELS, Served

pytest.importorskip("chromadb", reason="needs requirements/stores.txt")
TEXTS = 40
DIMENSION = 384
KINDS = ("npy", "npz", "jsonl", "parquet", *(kind for kind in ALL if kind != "qdrant-server"))
FLAGS = ("--quantization", "fp32")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_texts(tmp_path_factory.mktemp("texts") / "texts.json", TEXTS)


@pytest.fixture(scope="module")
def expected(source: Path, fp32: Served) -> dict[str, tuple[str, Vectors]]:
    """The text and the served vector by id."""
    rows = json.loads(source.read_bytes())
    vectors = np.array(fp32.embed([row["text"] for row in rows]), np.float32)
    return {row["id"]: (row["text"], vector) for row, vector in zip(rows, vectors, strict=True)}


@pytest.fixture
def output(request: pytest.FixtureRequest, tmp_path: Path, pinecone: FakePinecone) -> str:
    pinecone.dimension = DIMENSION
    kind: str = request.param
    return str(tmp_path / f"out.{kind}") if kind in KINDS[:4] else address(request, tmp_path, kind)


@pytest.mark.parametrize("output", KINDS, indirect=True)
def test_vectors_are_the_server_s(
    source: Path, output: str, expected: dict[str, tuple[str, Vectors]], tmp_path: Path
) -> None:
    environ = {"MODEL": MINILM, "MODELS_DIR": str(MODELS), "DEVICE": "cpu", "MAX_BATCH_TOKENS": "512"}
    flags = ("--input", str(source), "--output", output, "--journal", str(tmp_path / "journal"), *FLAGS)
    format_ = ("--format", "pinecone") if "shards" in output else ()
    assert main([*flags, *format_], environ) == 0
    written = entries(output)
    assert sorted(entry.id for entry in written) == sorted(expected)
    for entry in written:
        text, vector = expected[entry.id]
        assert entry.text in (None, text)
        assert np.allclose(entry.vector, vector, atol=1e-5)
