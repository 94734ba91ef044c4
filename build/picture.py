"""`python -m build.picture GRAPH.onnx OUT.svg`: draw a built graph by the modules that its nodes are named after.

Needs the build stage's environment, which has the onnx package. The weights are not read, only their shapes.
"""

import argparse
import math
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.etree import ElementTree as ET

import onnx

from build import output
from server import svg

# Blocks of a layer, by path prefix; the first match applies.
_PARALLEL = ("attention/self/query", "attention/self/key", "attention/self/value")
_PARTS = (*_PARALLEL, "attention/self", "attention/output", "intermediate", "output")
_LAYER = re.compile(r"/encoder/layer\.(\d+)/(.+)")
# Data movement and shape operators, left out of the node counts.
_PLUMBING = {"Cast", "Concat", "Constant", "Identity", "Reshape", "Shape", "Size", "Slice", "Squeeze", "Transpose"}
_PLUMBING |= {"Unsqueeze"}
_ABOUT = {
    "sorting": "texts by length, so that equal ones stand together",
    "packing": "[batch, sequence] → [tokens]: padding is left out here",
    "embeddings": "word + position + token type, normalised",
    "attention/self": "one length: at once; several: a loop over groups",
    "attention/output": "+ what came in (residual)",
    "output": "+ what came in (residual)",
    "pooling": "[tokens, hidden] → [batch, hidden]",
    "normalize": "divided by its norm",
    "restoring": "the order that the texts came in",
}
_BEFORE = ("sorting", "packing", "embeddings")
_CLS_ONLY = "and from here on for the [CLS] rows alone"
_TOP, _LEFT, _RIGHT, _HIGH, _GAP, _BETWEEN = 60, 60, 730, 34, 14, 8


@dataclass
class Block:
    """The nodes of one module: layer, counts by operator, and parameters."""

    name: str
    layer: int | None = None
    kinds: Counter[str] = field(default_factory=Counter)
    parameters: int = 0
    times: int = 1
    about: str = ""

    @property
    def title(self) -> str:
        """The box's title."""
        return self.name if self.layer is None else f"layer.{self.layer}/{self.name}"

    @property
    def work(self) -> str:
        """The most frequent operators with their counts."""
        named = [(kind, count) for kind, count in self.kinds.items() if kind not in _PLUMBING]
        ordered = sorted(named, key=lambda one: (-one[1], one[0]))
        return ", ".join(f"{count} {kind}" if count > 1 else kind for kind, count in ordered[:5])


@dataclass(frozen=True)
class Outline:
    """A graph's inputs, blocks in order, and output."""

    name: str
    inputs: str
    output: str
    blocks: tuple[Block, ...]

    @property
    def parameters(self) -> int:
        """Total number of parameters."""
        return sum(block.parameters * block.times for block in self.blocks)


def outline(model: onnx.ModelProto, name: str) -> Outline:
    """Group the nodes of a graph into blocks; identical layers become one repeated block."""
    graph = model.graph
    floats = (one for one in graph.initializer if one.data_type == onnx.TensorProto.FLOAT and one.dims)
    sizes = {one.name: math.prod(one.dims) for one in floats}
    by_place: dict[tuple[int | None, str], Block] = {}
    for node in graph.node:
        layer, part = _place(node.name, restoring=any(block.name == "normalize" for block in by_place.values()))
        if not part:
            continue
        block = by_place.setdefault((layer, part), Block(part, layer, about=_ABOUT.get(part, "")))
        block.kinds.update(_kinds(node))
        block.parameters += sum(sizes.pop(used, 0) for used in node.input)
    # Topological order interleaves the blocks before the layers.
    ordered = sorted(
        by_place.values(), key=lambda block: _BEFORE.index(block.name) if block.name in _BEFORE else len(_BEFORE)
    )
    names = " and ".join(one.name for one in graph.input)
    return Outline(name, f"{names}: {_type(graph.input[0])}", _typed(graph.output[0]), tuple(_folded(ordered)))


def _place(name: str, *, restoring: bool) -> tuple[int | None, str]:
    if layer := _LAYER.match(name):
        return int(layer[1]), next((part for part in _PARTS if layer[2].startswith(part)), layer[2].split("/")[0])
    part = name.strip("/").split("/")[0]
    if part == "sorting" and restoring:
        return None, "restoring"
    return None, part if part in _ABOUT else ""


def _kinds(node: onnx.NodeProto) -> Iterator[str]:
    """Yield the operator types of a node and of the nodes in its subgraphs."""
    inner = [one for attribute in node.attribute for one in attribute.g.node]
    yield node.op_type
    for one in inner:
        yield from _kinds(one)


def _typed(value: onnx.ValueInfoProto) -> str:
    return f"{value.name}: {_type(value)}"


def _type(value: onnx.ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower().replace("float", "float32", 1)
    shape = ", ".join(one.dim_param or str(one.dim_value) for one in tensor.shape.dim)
    return f"{kind} [{shape}]"


def _folded(blocks: Sequence[Block]) -> list[Block]:
    """Keep the first layer, and the last if it differs; fold the identical ones into one block."""
    by_layer: dict[int, list[Block]] = {}
    for block in blocks:
        if block.layer is not None:
            by_layer.setdefault(block.layer, []).append(block)
    first = by_layer[min(by_layer)]
    alike = [layer for layer, own in by_layer.items() if layer and _content(own) == _content(first)]
    kept = [block for block in blocks if not block.layer or block.layer not in alike]
    for block in kept:
        if block.layer and block.name == "attention/self" and not any(one.name == "pooling" for one in blocks):
            block.about = f"{block.about}, {_CLS_ONLY}"
    if not alike:
        return kept
    more = Block(f"layer.{alike[0]} … layer.{alike[-1]}", None, sum((one.kinds for one in first), Counter()))
    same = f"the same {len(alike)} times"
    more = replace(more, parameters=sum(one.parameters for one in first), times=len(alike), about=same)
    place = 1 + max(index for index, block in enumerate(kept) if block.layer == first[0].layer)
    return [*kept[:place], more, *kept[place:]]


def _content(layer: Sequence[Block]) -> list[tuple[str, Counter[str], int]]:
    return [(block.name, block.kinds, block.parameters) for block in layer]


def draw(outlined: Outline) -> str:
    """Draw an outline from top to bottom, with a dashed frame around each layer."""
    rows = list(_rows(outlined.blocks))
    title = f"{outlined.name}: {outlined.parameters:,} parameters"
    height = _row_top(len(rows) + 1) + _HIGH
    picture = svg.root(height, title, "the modules of the graph: kinds of nodes, and parameters")
    _end(picture, 0, outlined.inputs)
    for place, row in enumerate(rows, start=1):
        width = (_RIGHT - _LEFT - _BETWEEN * (len(row) - 1)) / len(row)
        for column, block in enumerate(row):
            _box(picture, _LEFT + column * (width + _BETWEEN), _row_top(place), width, block)
        _arrow(picture, _row_top(place) - _GAP)
    _arrow(picture, _row_top(len(rows) + 1) - _GAP)
    _end(picture, len(rows) + 1, outlined.output)
    _frames(picture, rows)
    return svg.finish(picture)


def _rows(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    """Yield rows of blocks; query, key and value share a row."""
    row: list[Block] = []
    for block in blocks:
        if row and not (block.name in _PARALLEL and row[0].name in _PARALLEL and block.layer == row[0].layer):
            yield row
            row = []
        row.append(block)
    yield row


def _row_top(place: int) -> float:
    return float(_TOP + place * (_HIGH + _GAP))


def _end(picture: ET.Element, place: int, words: str) -> None:
    svg.text(picture, (_LEFT + _RIGHT) / 2, _row_top(place) + 21, words, "ours", "middle")


def _box(picture: ET.Element, left: float, top: float, width: float, block: Block) -> None:
    svg.add(picture, "rect", x=left, y=top, width=width, height=_HIGH, rx=4, **{"class": "box"})
    svg.text(picture, left + 8, top + 15, block.title, "label")
    size = f"{block.parameters:,} parameters" if block.parameters else ""
    if block.name in _PARALLEL:
        svg.text(picture, left + 8, top + 29, f"{block.work} · {block.parameters:,}", "small")
        return
    svg.text(picture, left + 8, top + 29, block.about, "small")
    svg.text(picture, left + width - 8, top + 15, block.work if block.times == 1 else "", "small", "end")
    each = f"{block.times} × " if block.times > 1 else ""
    svg.text(picture, left + width - 8, top + 29, f"{each}{size}", "small", "end")


def _arrow(picture: ET.Element, top: float) -> None:
    middle = (_LEFT + _RIGHT) / 2
    svg.line(picture, (middle, top), (middle, top + _GAP), "flow")
    points = (
        f"{middle - 4:.1f},{top + _GAP - 5:.1f} {middle:.1f},{top + _GAP:.1f} {middle + 4:.1f},{top + _GAP - 5:.1f}"
    )
    svg.add(picture, "polyline", points=points, **{"class": "flow"})


def _frames(picture: ET.Element, rows: Sequence[Sequence[Block]]) -> None:
    """Frame each layer and draw its two residual connections."""
    for layer in sorted({row[0].layer for row in rows if row[0].layer is not None}):
        places = [place for place, row in enumerate(rows, start=1) if row[0].layer == layer]
        high = _row_top(places[-1]) + _HIGH - _row_top(places[0]) + 12
        frame = {"x": _LEFT - 12, "y": _row_top(places[0]) - 6, "width": _RIGHT - _LEFT + 24, "height": high, "rx": 6}
        svg.add(picture, "rect", **frame, **{"class": "frame"})
        start = places[0]
        for place in places:
            if rows[place - 1][0].name.endswith("output"):
                _around(picture, _row_top(start) - 8, _row_top(place) + _HIGH / 2)
                start = place + 1


def _around(picture: ET.Element, top: float, bottom: float) -> None:
    middle, out = (_LEFT + _RIGHT) / 2, _LEFT - 30.0
    points = f"{middle:.1f},{top:.1f} {out:.1f},{top:.1f} {out:.1f},{bottom:.1f} {_LEFT:.1f},{bottom:.1f}"
    svg.add(picture, "polyline", points=points, **{"class": "flow"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw one graph."""
    parser = argparse.ArgumentParser(prog="python -m build.picture", description=__doc__)
    parser.add_argument("graph", type=Path, help="an fp32 graph of `make build-models`")
    parser.add_argument("out", type=Path, help="where to write the SVG")
    given = parser.parse_args(arguments)
    if not given.graph.is_file():
        print(f"{given.graph} is not built: make build-models MODEL={given.graph.stem}", file=sys.stderr)
        return 1
    model = onnx.load(given.graph, load_external_data=False)
    try:
        output.write(given.out, draw(outline(model, given.graph.stem)))
    except output.OutputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
