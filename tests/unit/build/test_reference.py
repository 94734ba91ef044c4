"""The source model in sentence-transformers, and its effective tokenizer."""

import json
from pathlib import Path

import pytest
from tokenizers import normalizers

from build import sentence
from build.errors import BuildError
from build.expected import PromptedTexts
from build.reference import Reference
from build.sources import folder
from tests import tiny

EVERY_CHARACTER = " ".join(f"a{chr(code)}b" for code in range(0x110000) if not 0xD800 <= code < 0xE000)


def reference(path: Path, **transformer: object) -> Reference:
    tiny.snapshot(path)
    settings = path / "sentence_bert_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | transformer))
    snapshot = folder.read(path)
    return Reference(snapshot, sentence.read(snapshot))


def test_lower_casing_before_bert_s_own_is_left_out(tmp_path: Path) -> None:
    """The server can split long texts only for known normalizers."""
    made = reference(tmp_path / "tiny", do_lower_case=True).tokenizer()
    assert json.loads(made.to_str())["normalizer"]["type"] == "BertNormalizer"


@pytest.mark.parametrize("strip_accents", [None, True, False])
def test_which_changes_no_character(strip_accents: bool | None) -> None:
    bert = normalizers.BertNormalizer(lowercase=True, strip_accents=strip_accents)
    both = normalizers.Sequence([normalizers.Lowercase(), bert])
    assert both.normalize_str(EVERY_CHARACTER) == bert.normalize_str(EVERY_CHARACTER)


def test_a_text_longer_than_the_positions_is_cut_to_them(tmp_path: Path) -> None:
    """Settings may allow more tokens than there are positions, on which sentence-transformers fails."""
    loaded = reference(tmp_path / "tiny", max_seq_length=512)
    assert len(loaded.ids("cat " * 200, "")) == 66
    assert loaded.vectors(PromptedTexts(None, ["cat " * 200])).shape == (1, 32)


def test_weights_of_another_shape_are_refused_in_a_line(tmp_path: Path) -> None:
    path = tiny.snapshot(tmp_path / "tiny")
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"vocab_size": 12}))
    snapshot = folder.read(path)
    with pytest.raises(BuildError, match="cannot load tiny, so there are no vectors") as caught:
        Reference(snapshot, sentence.read(snapshot))
    assert "\n" not in str(caught.value)
