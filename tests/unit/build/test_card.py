"""The card of a source says what was read and where."""

from pathlib import Path

import pytest

from build import card
from build.inspection import Reading, read_folder
from server.model.artifact import sha256
from tests import tiny


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    folder = tmp_path / "tiny"
    tiny.write_settings(folder)
    (folder / "config.json").write_text('{"model_type": "bert", "max_position_embeddings": 66}')
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    return read_folder(folder)


def test_a_source_s_card_says_what_was_read_and_where(reading: Reading) -> None:
    shown = " ".join(card.of_source(reading).text().split())
    for row in (
        "model tiny folder",
        "licence mit README.md",
        "architecture bert config.json",
        "pooling cls 1_Pooling/config.json",
        "longest text 64 tokens",
        "limit 64 tokens max_seq_length in sentence_bert_config.json",
        "limit 66 tokens max_position_embeddings in config.json",
        'prompt query "the query: " config_sentence_transformers.json',
        f"model.safetensors 7 {sha256(reading.snapshot.folder / 'model.safetensors')}",
    ):
        assert row in shown
