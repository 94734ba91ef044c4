"""Every setting of a settings file is known to change no vector, read, or refused by its name."""

import inspect
import json
from pathlib import Path

import pytest
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling

from build import known_settings
from build.errors import BuildError
from build.sources.snapshot import Snapshot
from tests import tiny

CHECKED = (known_settings.SENTENCE, known_settings.TOKENIZER, "special_tokens_map.json", *known_settings.TRANSFORMER)


def snapshot(folder: Path) -> Snapshot:
    return Snapshot(folder, "folder", "tiny", "r", "mit", {path.name: "" for path in folder.glob("*.json")})


@pytest.mark.parametrize("name", CHECKED)
def test_a_setting_that_is_not_known_is_refused_with_its_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"nonesuch": null}')
    with pytest.raises(BuildError, match=rf"{name} has 'nonesuch'"):
        known_settings.check(snapshot(tmp_path), snapshot(tmp_path))


def test_so_it_is_in_modules_and_pooling() -> None:
    with pytest.raises(BuildError, match="'nonesuch'"):
        known_settings.check_module({"type": "a", "path": "", "nonesuch": 1}, "modules.json")
    with pytest.raises(BuildError, match="'nonesuch'"):
        known_settings.check_own({"nonesuch": 1}, known_settings.OF_POOLING, "config.json")


@pytest.mark.parametrize(
    ("name", "setting", "said"),
    [
        (known_settings.SENTENCE, {"truncate_dim": 64}, "ask for `dimensions`"),
        (known_settings.SENTENCE, {"model_type": "SparseEncoder"}, "other than dense vectors"),
        (known_settings.SENTENCE, {"prompts": None}, "is no object"),
        (known_settings.TOKENIZER, {"truncation_side": "left"}, "only `right` is"),
        (known_settings.TOKENIZER, {"padding_side": "left"}, "only `right` is"),
        (known_settings.TOKENIZER, {"split_special_tokens": True}, "takes special tokens' names in a text apart"),
        (known_settings.TOKENIZER, {"model_input_names": ["input_ids"]}, "leaves out the mask"),
        (known_settings.TOKENIZER, {"auto_map": {"AutoTokenizer": "own.Tokenizer"}}, "never run here"),
        (known_settings.TRANSFORMER[0], {"max_seq_length": True}, "is no whole number"),
        (known_settings.TRANSFORMER[1], {"tokenizer_name_or_path": "other"}, "outside the folder"),
        (known_settings.TRANSFORMER[2], {"transformer_task": "fill-mask"}, "other than the last layer"),
        (known_settings.TRANSFORMER[3], {"config_args": {"num_hidden_layers": 1}}, "'config_args'"),
    ],
)
def test_a_value_that_gives_other_vectors_is_refused(
    tmp_path: Path, name: str, setting: dict[str, object], said: str
) -> None:
    (tmp_path / name).write_text(json.dumps(setting))
    with pytest.raises(BuildError, match=said):
        known_settings.check(snapshot(tmp_path), snapshot(tmp_path))


def test_usual_files_pass(tmp_path: Path) -> None:
    tiny.write_settings(tmp_path)
    usual = {"model_max_length": 1e30, "truncation_side": "right", "do_lower_case": True, "cls_token": "[CLS]"}
    (tmp_path / known_settings.TOKENIZER).write_text(json.dumps(usual))
    known_settings.check(snapshot(tmp_path), snapshot(tmp_path))


def test_what_sentence_transformers_takes_is_all_listed() -> None:
    """A new version's settings must be looked at: here they show."""
    lists = {
        Transformer: known_settings.OF_TRANSFORMER,
        Pooling: known_settings.OF_POOLING,
        Dense: known_settings.OF_DENSE,
        LayerNorm: known_settings.OF_LAYER_NORM,
    }
    for module, listed in lists.items():
        taken = set(inspect.signature(inspect.unwrap(module.__init__)).parameters)
        assert taken - {"self", "model_name_or_path", "init_weight", "init_bias"} <= set(listed)
