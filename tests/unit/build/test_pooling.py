"""The modes of pooling and what of a prompt counts are read from the module's settings."""

import json
from pathlib import Path
from typing import Any

import pytest

from build import pooling
from build.errors import BuildError
from build.pooling import Pooling
from build.sources.snapshot import Snapshot


def read(folder: Path, *, prompted: bool = True, **settings: object) -> Pooling:
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling/config.json").write_text(json.dumps(settings))
    snapshot = Snapshot(folder, "folder", "tiny", "r", "mit", {"1_Pooling/config.json": ""})
    return pooling.read(snapshot, "1_Pooling", prompted=prompted)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False}, "lasttoken"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "cls+mean"),
        ({"pooling_mode": "weightedmean"}, "weightedmean"),
        ({"pooling_mode": ["mean", "max"]}, "mean+max"),
        ({"pooling_mode": "mean_sqrt_len_tokens", "pooling_mode_cls_token": True}, "mean_sqrt_len_tokens"),
    ],
)
def test_words_go_before_flags_and_flags_have_their_own_order(
    tmp_path: Path, settings: dict[str, Any], name: str
) -> None:
    assert read(tmp_path, **settings).name == name


@pytest.mark.parametrize("mode", ["sum", None, [], ["mean", "sum"], {"mean": True}])
def test_refuses_what_is_no_mode(tmp_path: Path, mode: object) -> None:
    with pytest.raises(BuildError, match=r"config\.json: it pools by .*supported are cls, max, mean"):
        read(tmp_path, pooling_mode=mode)


def test_refuses_flags_that_are_all_off(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="pools by nothing"):
        read(tmp_path, pooling_mode_mean_tokens=False)


def test_a_prompt_is_left_out_where_the_model_has_one(tmp_path: Path) -> None:
    assert read(tmp_path, pooling_mode="mean").include_prompt
    assert not read(tmp_path, pooling_mode="mean", include_prompt=False).include_prompt
    assert read(tmp_path, pooling_mode="mean", include_prompt=False, prompted=False).include_prompt


def test_only_the_first_token_is_read_of_cls_alone() -> None:
    assert Pooling(("cls",)).reads_first_token_alone
    assert not Pooling(("cls", "mean")).reads_first_token_alone
    assert not Pooling(("cls",), include_prompt=False).reads_first_token_alone
