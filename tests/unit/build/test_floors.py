"""Fidelity floors, and the diagnosis of a graph below them."""

import numpy as np
import pytest

from build.floors import Case, departure, shortfall
from server.model.manifest import Fidelity, Precision, Similarity


def found(to_fp32: float, to_source: float) -> Fidelity:
    return Fidelity(*(Similarity(mean=value, p01=value, min=value) for value in (to_fp32, to_source)))


@pytest.mark.parametrize(
    ("precision", "good", "bad"),
    [
        ("fp32", found(1, 0.99999), found(1, 0.99998)),
        ("fp16", found(0.999, 0.5), found(0.998, 1)),
        ("int8", found(0.95, 0.5), found(0.94, 1)),
        ("int8-static", found(0.95, 0.5), found(0.94, 1)),
    ],
)
def test_each_precision_has_its_floor(precision: Precision, good: Fidelity, bad: Fidelity) -> None:
    assert shortfall(precision, good) == ""
    assert "the floor" in shortfall(precision, bad)


@pytest.mark.parametrize(
    ("cases", "cosines", "likely"),
    [
        ([Case("Café", None, False), Case("cafe", None, True)], [0.5, 1], "tokenizer_config.json"),
        ([Case("café", None, True), Case("café", "query", True)], [1, 0.5], "include_prompt"),
        ([Case("café", None, True), Case("café", "query", True)], [0.7, 0.5], "modules.json"),
    ],
)
def test_a_departure_names_the_text_and_the_likely_setting(
    cases: list[Case], cosines: list[float], likely: str
) -> None:
    said = departure(cases, np.array(cosines))
    assert repr(cases[int(np.argmin(cosines))].text) in said
    assert likely in said


def test_rounding_is_no_departure() -> None:
    assert departure([Case("a", None, False)], np.array([0.999991])) == ""
