"""Fuzz settings: each mutated folder either builds with sentence-transformers' vectors or fails with one line."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from build.floors import FP32
from tests.build.folders import ASKED, build, least_cosine, served, source

FILES = (
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "config.json",
)
VALUES: tuple[object, ...] = (
    None,
    True,
    False,
    0,
    -1,
    3,
    1e30,
    float("nan"),
    "",
    "mean",
    "null",
    [],
    ["a"],
    {},
    {"text": None},
    "\ud800",
)
SEEDS = 64


def _spot(held: Any, chance: random.Random) -> tuple[Any, Any]:
    """Return a random place in a JSON value: container, and key or index; shallow, where settings are."""
    while True:
        keys = list(held) if isinstance(held, dict) else list(range(len(held)))
        key = chance.choice(keys)
        inner = held[key]
        if not isinstance(inner, dict | list) or not inner or chance.random() < 0.4:
            return held, key
        held = inner


def _replace(held: Any, chance: random.Random) -> None:
    where, key = _spot(held, chance)
    where[key] = chance.choice(VALUES)


def _drop(held: Any, chance: random.Random) -> None:
    where, key = _spot(held, chance)
    del where[key]


def _other_case(held: Any, chance: random.Random) -> None:
    where, key = _spot(held, chance)
    if isinstance(where, dict):
        where[key.swapcase()] = where.pop(key)
    elif isinstance(where[key], str):
        where[key] = where[key].swapcase()


def _damage(folder: Path, chance: random.Random) -> None:
    path = folder / chance.choice(FILES)
    kind = chance.randrange(8)
    content = path.read_bytes()
    if kind == 0:
        path.unlink()
    elif kind == 1:
        path.write_bytes(b"\xef\xbb\xbf" + content)
    elif kind == 2:
        path.write_bytes(content[: chance.randrange(len(content))])
    elif kind == 3:
        path.rename(path.with_name(path.name.upper()))
    else:
        held = json.loads(content)
        change: Callable[[Any, random.Random], None] = chance.choice((_replace, _replace, _drop, _other_case))
        change(held, chance)
        path.write_text(json.dumps(held), "utf-8")


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_damaged_folder(snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: int) -> None:
    folder = Path(shutil.copytree(snapshot, tmp_path / "source" / "tiny"))
    _damage(folder, random.Random(seed))  # noqa: S311 - seeded, to be reproducible
    status = build(folder, tmp_path / "models")
    said = capsys.readouterr().err
    assert "Traceback" not in said
    if status == 0:
        assert least_cosine(served(tmp_path / "models"), source(folder).encode(ASKED)) >= FP32
    else:
        assert said.startswith("error: ")
        assert len(said) < 1500
        assert not list((tmp_path / "models").glob("*.json"))
