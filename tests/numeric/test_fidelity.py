"""Fidelity on all-MiniLM-L6-v2's real weights, through real servers: the floors that no change may go below."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.numeric import sts
from tests.numeric.sentences import Vectors, cosine, neighbour_overlap, texts, vectors
from tests.serving import Served, serve

ITEMS = texts()


@pytest.fixture(scope="module", params=["fp32", "fp16", "int8", "int8-static"])
def variant(request: pytest.FixtureRequest) -> Iterator[Served]:
    with serve(quantization=request.param) as served:
        yield served


@pytest.fixture(scope="module")
def found(variant: Served) -> Vectors:
    return vectors(variant, ITEMS)


@pytest.fixture(scope="module")
def reference(fp32: Served) -> Vectors:
    return vectors(fp32, ITEMS)


# precision: cosine mean, cosine min, overlap of the ten nearest neighbours, drop of STS-B dev against fp32
FLOORS = {
    "fp32": (0.99999, 0.99999, 0.998, 0.0001),
    "fp16": (0.99999, 0.9999, 0.998, 0.0001),
    "int8": (0.997, 0.985, 0.95, 0.001),
    "int8-static": (0.997, 0.985, 0.95, 0.001),
}


def floors(variant: Served) -> tuple[float, float, float, float]:
    return FLOORS[variant.client.get("/info").json()["precision"]]


def test_stays_near_fp32(variant: Served, found: Vectors, reference: Vectors) -> None:
    mean, least, overlap, _ = floors(variant)
    similar = cosine(found, reference)
    assert similar.mean() >= mean
    assert similar.min() >= least
    assert neighbour_overlap(found, reference) >= overlap


def test_keeps_the_judgement_of_people(variant: Served, fp32: Served) -> None:
    pairs = sts.pairs()
    if not pairs:
        pytest.skip("no sentence pairs: set STS_PAIRS to a csv of sentence, sentence, score (STS Benchmark dev)")
    assert sts.spearman(fp32, pairs) - sts.spearman(variant, pairs) <= floors(variant)[3]


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_vector_does_not_depend_on_its_batch(variant: Served, found: Vectors, data: st.DataObject) -> None:
    """Any texts, in any order and number, one of them repeated: each has the vector that it has among all others."""
    rows = data.draw(st.lists(st.integers(0, len(ITEMS) - 1), min_size=1, max_size=24))
    answered = np.array(variant.embed([ITEMS[row] for row in rows]))
    assert cosine(answered, found[rows]).min() >= 0.99999


def test_alone_as_in_company(variant: Served, found: Vectors) -> None:
    rows = range(0, len(ITEMS), 7)
    alone = np.array([variant.embed([ITEMS[row]])[0] for row in rows])
    assert cosine(alone, found[list(rows)]).min() >= 0.99999
