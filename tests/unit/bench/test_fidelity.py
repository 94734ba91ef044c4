from pathlib import Path

import numpy as np
import pytest

from bench import fidelity
from bench.fidelity import PairsError

RNG = np.random.default_rng(3)


def unit(rows: int, columns: int = 16) -> fidelity.Rows:
    vectors = RNG.normal(size=(rows, columns)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def test_a_variant_equals_itself() -> None:
    vectors = unit(40)
    result = fidelity.compare(vectors, vectors)
    assert result.overlap == 1.0
    assert result.least == pytest.approx(1) == result.mean


def test_cosine_is_row_wise_and_ignores_length() -> None:
    left = np.array([[1, 0], [0, 2]], np.float32)
    right = np.array([[3, 0], [1, 0]], np.float32)
    assert fidelity.cosine(left, right).tolist() == [1.0, 0.0]


def test_neighbours_are_those_of_a_full_sort_without_the_text_itself() -> None:
    vectors, other = unit(30), unit(30)

    def nearest(rows: fidelity.Rows, text: int) -> set[int]:
        order = np.argsort(-(rows @ rows[text]))
        return set(order[order != text][:10].tolist())

    expected = np.mean([len(nearest(vectors, text) & nearest(other, text)) / 10 for text in range(30)])
    assert fidelity.neighbour_overlap(vectors, other) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 400], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        # Ties get their mean rank: 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
        ([1, 2, 2, 3], [1, 2, 3, 4], 0.9486833),
    ],
)
def test_spearman(left: list[float], right: list[float], expected: float) -> None:
    assert fidelity.spearman(left, right) == pytest.approx(expected)


def test_pairs_are_read(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text('A cat.,"A dog, maybe.",3.5\nOne,Two,0\n', "utf-8")
    pairs = fidelity.read_pairs(path)
    assert (pairs.left, pairs.right, pairs.scores) == (["A cat.", "One"], ["A dog, maybe.", "Two"], [3.5, 0.0])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("a,b,1\na,b\n", "line 2: expected sentence, sentence, score"),
        ("sentence1,sentence2,score\n", "line 1"),
        ("a,b,1\n", "holds 1 pairs"),
        ("", "holds 0 pairs"),
    ],
)
def test_bad_pairs_are_refused_with_the_line(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(content, "utf-8")
    with pytest.raises(PairsError, match=complaint):
        fidelity.read_pairs(path)


def test_missing_and_binary_pairs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PairsError, match="cannot be read"):
        fidelity.read_pairs(tmp_path / "none.csv")
    (tmp_path / "pairs.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PairsError, match="cannot be read"):
        fidelity.read_pairs(tmp_path / "pairs.csv")
