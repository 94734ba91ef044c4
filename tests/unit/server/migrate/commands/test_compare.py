"""Neighbour comparison on synthetic vector spaces."""

from pathlib import Path

import numpy as np
import pytest

from server.inference.engine import Vectors
from server.migrate.commands.compare import check_stored, compare, compare_stores
from server.migrate.errors import MigrateError
from tests.unit.server.migrate.jobs import run, texts, write_input

IDS = [f"id-{number}" for number in range(200)]


def space(dimension: int, seed: int = 0) -> Vectors:
    return np.random.default_rng(seed).standard_normal((len(IDS), dimension)).astype(np.float32)


def test_a_space_turned_stretched_and_padded_changes_nothing() -> None:
    old = space(16)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((16, 16)))[0].astype(np.float32)
    new = np.pad(old @ turn, ((0, 0), (0, 8))) * np.float32(3)
    comparison = compare(old, new, IDS, range(50))
    assert (comparison.overlap, comparison.first_changed, comparison.examples) == (1.0, 0.0, ())
    assert (comparison.sample, comparison.queries, comparison.neighbours) == (200, 50, 10)


def test_unrelated_spaces_share_what_chance_gives() -> None:
    comparison = compare(space(16), space(32, seed=7), IDS, range(200))
    assert comparison.overlap == pytest.approx(10 / 199, abs=0.03)
    assert comparison.first_changed > 0.9
    assert len(comparison.examples) == 5
    assert comparison.examples[0].overlap == 0


def test_one_text_that_moved_is_the_example() -> None:
    angles = np.radians(np.arange(200.0))
    old = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    new = old.copy()
    new[3] = old[150]
    comparison = compare(old, new, IDS, [3, 60])
    assert comparison.overlap == 0.5
    assert comparison.first_changed == 0.5
    [moved] = comparison.examples
    assert moved.query == "id-3"
    assert set(moved.old[:4]) == {"id-2", "id-4", "id-1", "id-5"}
    assert moved.new[0] == "id-150"


def test_two_texts_are_each_other_s_only_neighbour() -> None:
    comparison = compare(space(4)[:2], space(8)[:2], IDS[:2], [0, 1])
    assert (comparison.neighbours, comparison.overlap, comparison.first_changed) == (1, 1.0, 0.0)


@pytest.mark.parametrize("name", ["npy", "npz", "jsonl"])
def test_files_that_a_migration_wrote_are_compared_whatever_their_format(
    models_dir: Path, tmp_path: Path, name: str
) -> None:
    source = write_input(tmp_path / "texts.json", texts(40))
    run(models_dir, source, tmp_path / "old.npy")
    run(models_dir, source, tmp_path / f"new.{name}")
    comparison = compare_stores(str(tmp_path / f"new.{name}"), str(tmp_path / "old.npy"))
    assert (comparison.sample, comparison.overlap) == (40, 1.0)


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    for name, content in (("a.jsonl", b'{"text": "a"}\n'), ("b.npz", b"no archive"), ("c.jsonl", b"[1]\n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MigrateError, match=f"{name} holds no rows of a migration"):
            check_stored(str(tmp_path / name))
    with pytest.raises(MigrateError, match=r"d\.jsonl: no such file"):
        check_stored(str(tmp_path / "d.jsonl"))
