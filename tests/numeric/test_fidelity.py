"""Minimum fidelity of each precision, with all-MiniLM-L6-v2's real weights on real servers."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.fidelity import Pairs, cosine, neighbour_overlap, read_pairs, spearman
from tests.numeric.sentences import Vectors, texts, vectors
from tests.serving import Served, serve

ITEMS = texts()


@pytest.fixture(scope="module", params=["fp32", "fp16", "int8", "int8-static"])
def variant(request: pytest.FixtureRequest) -> Iterator[Served]:
    with serve(quantization=request.param) as served:
        yield served


@pytest.fixture(scope="module")
def computed(variant: Served) -> Vectors:
    return vectors(variant, ITEMS)


@pytest.fixture(scope="module")
def reference(fp32: Served) -> Vectors:
    return vectors(fp32, ITEMS)


# precision: mean cosine, minimum cosine, overlap of the ten nearest neighbours, loss on STS-B dev against fp32
FLOORS = {
    "fp32": (0.99999, 0.99999, 0.998, 0.0001),
    "fp16": (0.99999, 0.9999, 0.998, 0.0001),
    "int8": (0.997, 0.985, 0.95, 0.001),
    "int8-static": (0.997, 0.985, 0.95, 0.001),
}


def floors(variant: Served) -> tuple[float, float, float, float]:
    precision = variant.client.get("/info").json()["precision"]
    return FLOORS[precision]


def test_stays_near_fp32(variant: Served, computed: Vectors, reference: Vectors) -> None:
    mean, least, overlap, _ = floors(variant)
    similar = cosine(computed, reference)
    assert similar.mean() >= mean
    assert similar.min() >= least
    assert neighbour_overlap(computed, reference) >= overlap


def test_keeps_the_judgement_of_people(variant: Served, fp32: Served) -> None:
    path = os.environ.get("STS_PAIRS")
    if not path:
        pytest.skip("no sentence pairs: set STS_PAIRS to a csv of sentence, sentence, score (STS Benchmark dev)")
    pairs = read_pairs(Path(path))
    assert judged(fp32, pairs) - judged(variant, pairs) <= floors(variant)[3]


def judged(served: Served, pairs: Pairs) -> float:
    left, right = vectors(served, pairs.left), vectors(served, pairs.right)
    return spearman(cosine(left, right), pairs.scores)


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_vector_does_not_depend_on_its_batch(variant: Served, computed: Vectors, data: st.DataObject) -> None:
    """Any texts in any order, duplicates included, have the same vectors as in batches of all texts."""
    rows = data.draw(st.lists(st.integers(0, len(ITEMS) - 1), min_size=1, max_size=24))
    answered = vectors(variant, [ITEMS[row] for row in rows])
    assert cosine(answered, computed[rows]).min() >= 0.99999


def test_alone_as_in_company(variant: Served, computed: Vectors) -> None:
    rows = range(0, len(ITEMS), 7)
    alone = vectors(variant, [ITEMS[row] for row in rows], at_once=1)
    assert cosine(alone, computed[list(rows)]).min() >= 0.99999
