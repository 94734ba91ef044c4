"""Attention within a window, at every length around the window and its chunks."""

import pytest

from tests.unit.build.conftest import Run
from tests.unit.build.graphs import CLS, LONGEST, MEAN, Exported, count, packed, plain, texts

WINDOW = 4  # to each side; a chunk is twice as long


@pytest.mark.parametrize("pooling", [CLS, MEAN], ids=lambda pooling: pooling.name)
def test_every_length(exported: Exported, run: Run, pooling: object) -> None:
    expected, rewritten = plain(exported("modernbert"), pooling), packed(exported("modernbert"), pooling)  # type: ignore[arg-type]
    lengths = [*range(1, 4 * WINDOW + 2), LONGEST - 1, LONGEST, 2 * WINDOW, 2 * WINDOW]
    assert run(rewritten, texts(*lengths)) == pytest.approx(run(expected, texts(*lengths)), abs=1e-6)
    for length in (WINDOW, WINDOW + 1, WINDOW + 2, 2 * WINDOW + 1):
        alike = texts(length, length, length)
        assert run(rewritten, alike) == pytest.approx(run(expected, alike), abs=1e-6)


def test_short_texts_are_not_cut(exported: Exported) -> None:
    choices = [node for node in packed(exported("modernbert")).graph if node.op_type == "If"]
    windowed = choices[1].attributes["then_branch"].as_graph()
    inner = next(node for node in windowed if node.op_type == "If")
    short, long = (inner.attributes[name].as_graph() for name in ("then_branch", "else_branch"))
    assert [node.op_type for node in short] == ["MultiHeadAttention"]
    assert {"Pad", "Tile", "MultiHeadAttention"} <= set(count(long))
