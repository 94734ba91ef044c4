"""The integer tables of packing, against numpy."""

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build.passes.layout import Layout
from tests.unit.build.conftest import Run


def tables(read: str) -> ir.Model:
    mask = ir.Value(name="attention_mask", shape=ir.Shape([None, None]), type=ir.TensorType(ir.DataType.INT64))
    graph = ir.Graph([mask], [], nodes=[], opset_imports={"": 18})
    layout = Layout(graph, mask)
    values = {
        "coordinates": layout.coordinates,
        "starts": layout.starts,
        "packed": layout.pack(mask),
        "texts": layout.texts(),
        "shape": layout.shape(8),
        "first row": layout.groups.rows[0],
        "end row": layout.groups.rows[1],
        "end text": layout.groups.texts[1],
    }
    out = values[read]
    out.type = ir.TensorType(ir.DataType.INT64)
    graph.outputs.append(out)
    graph.sort()
    return ir.Model(graph, ir_version=10)


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        ("coordinates", [[0, 0], [0, 1], [1, 0], [1, 1], [2, 0]]),
        ("starts", [0, 2, 4]),
        ("packed", [1, 1, 1, 1, 1]),
        ("texts", [0, 0, 1, 1, 2]),
        ("shape", [[-1, 2, 8], [-1, 1, 8]]),
        ("first row", [[0], [4]]),
        ("end row", [[4], [5]]),
        ("end text", [[2], [3]]),
    ],
)
def test_two_texts_of_two_tokens_and_one_of_one(run: Run, read: str, expected: list[object]) -> None:
    np.testing.assert_array_equal(run(tables(read), [[9, 9], [9, 9], [9]]), expected)


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_groups_cover_every_row_once(run: Run, lengths: list[int]) -> None:
    sequences = [[9] * length for length in lengths]
    first, end = run(tables("first row"), sequences)[:, 0], run(tables("end row"), sequences)[:, 0]
    assert first.tolist() == [0, *end[:-1].tolist()]
    assert end[-1] == sum(lengths)
