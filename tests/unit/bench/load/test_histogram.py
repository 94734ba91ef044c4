import math
from statistics import NormalDist

import pytest

from bench.load.histogram import Histogram


def test_percentiles_are_within_half_a_percent_of_the_nearest_rank() -> None:
    bell = NormalDist(-4, 1.5)
    values = [math.exp(bell.inv_cdf((place + 0.5) / 1000)) for place in range(1000)]
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    for share in (0.5, 0.95, 0.99):
        exact = sorted(values)[round(share * 1000) - 1]
        assert histogram.percentile(share) == pytest.approx(exact, rel=0.0051)
    assert histogram.most == max(values)
    assert histogram.percentile(1.0) == pytest.approx(max(values), rel=0.0051)


def test_one_value_is_every_percentile() -> None:
    histogram = Histogram()
    histogram.add(0.25)
    assert histogram.percentile(0.01) == histogram.percentile(0.99) == 0.25


def test_nothing_has_no_percentile() -> None:
    assert Histogram().percentile(0.99) == 0.0


def test_what_is_out_of_range_counts_as_the_nearest() -> None:
    histogram = Histogram()
    for value in (0.0, -1.0, 1e9):
        histogram.add(value)
    assert histogram.count == 3
    assert histogram.percentile(0.5) < 1.1e-5
    assert histogram.percentile(1.0) == pytest.approx(3600, rel=0.006)
    assert histogram.most == 1e9
