"""Rewrites before quantization do not change the fp32 graph's results."""

import numpy as np
import pytest

from build.passes.graph import GELUS
from build.pooling import Pooling
from build.quantize.calibration import Range, calibrate
from build.quantize.linear import linears
from build.quantize.smoothing import factors, fold_into_values, split_outliers
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import ARCHITECTURES, CALIBRATION, CLS, MEAN, Exported, count, packed, texts


# A gated unit's product has no lower bound: it is smoothed instead.
@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name != "modernbert"])
def test_splitting_outliers_is_exact(exported: Exported, run: Run, architecture: str) -> None:
    whole, split = packed(exported(architecture)), packed(exported(architecture))
    ranges = calibrate(split, CALIBRATION)
    left = split_outliers(split.graph, ranges)
    np.testing.assert_allclose(run(split, texts(5, 1, 12)), run(whole, texts(5, 1, 12)), atol=1e-6)
    assert [count(split.graph)[name] for name in GELUS] == [2 * count(whole.graph)[name] for name in GELUS]
    for layer in linears(split.graph):
        assert left[layer.name].high.size == layer.weight().shape[0]


def test_outliers_are_the_channels_of_the_largest_range(exported: Exported) -> None:
    model = packed(exported("bert"))
    ranges = dict(calibrate(model, CALIBRATION))
    left = split_outliers(model.graph, ranges)
    name = "encoder.layer.0.output.dense"
    assert np.sort(ranges[name].largest)[:-2].max() == left[name].largest.max()


@pytest.mark.parametrize("pooling", [CLS, MEAN], ids=lambda pooling: pooling.name)
def test_folding_into_the_values_is_exact(exported: Exported, run: Run, pooling: Pooling) -> None:
    whole, folded = (packed(exported("mpnet"), pooling) for _ in range(2))
    divisor = np.linspace(0.5, 2, 32, dtype=np.float32)
    done = [layer for layer in linears(folded.graph) if layer.reads_attention]
    for layer in done:
        fold_into_values(folded.graph, layer, divisor)
    assert len(done) == 2
    np.testing.assert_allclose(run(folded, texts(5, 1, 12)), run(whole, texts(5, 1, 12)), atol=1e-6)


def test_alpha_shares_the_range_between_input_and_weight(exported: Exported) -> None:
    layer = next(linears(packed(exported("bert")).graph))
    span = Range(-np.arange(1, 33, dtype=np.float32), np.ones(32, np.float32))
    evened = span.largest / factors([layer], span, 1.0)
    np.testing.assert_allclose(evened, evened[0], rtol=1e-5)
    rows = np.abs(layer.weight()).max(axis=1) * factors([layer], span, 0.0)
    np.testing.assert_allclose(rows, rows[0], rtol=1e-5)
