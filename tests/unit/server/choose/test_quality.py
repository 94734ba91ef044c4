"""Measures of a search beside values that are computed by hand."""

import math

import numpy as np
import pytest

from server.choose import quality
from server.choose.quality import FAR, NEAR, NEEDED, Nearest, Numbers

FIRST = np.arange(NEEDED)[None, :]


def found(*swaps: tuple[int, int]) -> Nearest:
    """The places 0, 1, 2 …, with falling cosines, after `swaps`."""
    places = FIRST.copy()
    for one, other in swaps:
        places[0, [one, other]] = places[0, [other, one]]
    return Nearest(places, np.linspace(1, 0, NEEDED, dtype=np.float32)[None, :])


def test_a_search_finds_the_nearest_and_of_equals_the_earlier() -> None:
    corpus = np.zeros((NEEDED + 20, 3), np.float32)
    corpus[:, 0] = 1
    corpus[30] = [0, 1, 0]
    corpus[50] = [0, 0.8, 0.6]
    nearest = quality.search(np.array([[0, 1, 0]] * 300, np.float32), corpus)
    assert nearest.places.shape == (300, NEEDED)
    assert nearest.places[299, :2].tolist() == [30, 50]
    assert nearest.cosines[299, :3].tolist() == pytest.approx([1, 0.8, 0])


def test_overlaps_are_shares_row_by_row() -> None:
    assert quality.overlaps(
        np.array([[1, 2, 3, 4], [5, 6, 7, 8]]), np.array([[4, 3, 2, 9], [1, 2, 3, 4]])
    ).tolist() == [
        0.75,
        0,
    ]


def test_ndcg_is_that_of_its_definition() -> None:
    # Grades 0, 2, 1 at ranks 1 to 3; ideal: 2, 1.
    by_hand = (2 / math.log2(3) + 1 / math.log2(4)) / (2 / math.log2(2) + 1 / math.log2(3))
    assert quality.ndcg(FIRST, [{1: 2.0, 2: 1.0}])[0] == pytest.approx(by_hand)
    assert quality.ndcg(FIRST, [{NEAR: 1.0}])[0] == 0


def test_recall_is_the_share_among_the_first_hundred() -> None:
    assert quality.recall(FIRST, [{3: 1.0, FAR - 1: 1.0, FAR: 1.0, 5000: 1.0}])[0] == 0.5


def agreement(own: Nearest, reference: Nearest) -> float:
    values: Numbers = quality.agreement(own.places, reference)
    return float(values[0])


def test_agreement_is_graded_by_the_reference_s_cosines() -> None:
    reference = found()
    near, far = agreement(found((0, 1)), reference), agreement(found((0, 100)), reference)
    assert agreement(reference, reference) == pytest.approx(1)
    assert 1 > near > 0.999
    # The nearest text is lost: its gain, of falling grades 1, 0.99, 0.98 …
    grades = np.linspace(1, 0, NEEDED)[:NEAR]
    discounts = 1 / np.log2(np.arange(2, NEAR + 2))
    assert far == pytest.approx(1 - (grades[0] * discounts[0]) / (grades @ discounts), abs=1e-6)


def test_texts_that_are_all_equally_near_agree_in_any_order() -> None:
    equal = Nearest(FIRST, np.ones((1, NEEDED), np.float32))
    assert agreement(found((0, 90)), equal) == 1
