"""A build from the model's own ONNX file: without torch, and compared with that file in ONNX Runtime."""

from pathlib import Path

import onnx
import onnx_ir as ir

from build import graph_files, source_graph, verify_graph
from build.errors import BuildError, reason
from build.graph_reference import GraphReference
from build.inspection import Reading
from build.passes import apply
from build.passes.fuse_layer_norm import FuseLayerNormPass
from build.sources.snapshot import place

# The passes of the build write operators of this version.
_OPSET = 18
# The last axis of `[batch, heads, sequence, sequence]`.
_SCORES_LAST = 3


class FromGraph:
    """The graph of one model, checked, and compared with the weights beside it."""

    tools: tuple[str, ...] = ()

    def __init__(self, reading: Reading, scratch: Path) -> None:
        """Read the graph.

        Raises:
            BuildError: it is no plain fp32 export of the encoder, or not of the weights beside it.
        """
        self._encoder = reading.settings.encoder
        self._settings = reading.settings
        model = source_graph.load(self._encoder)
        self._weights = verify_graph.verify(model, self._encoder)
        self._rows = source_graph.rows(model)
        self._opset = model.opset_imports[""]
        self._path = self._encoder.folder / place(self._encoder)
        if source_graph.is_external(model):  # ONNX Runtime follows no links, which the Hub's cache consists of
            self._path = scratch / "source.onnx"
            graph_files.save(model, self._path, largest=0)

    def source(self) -> GraphReference:
        """Load the graph in ONNX Runtime.

        Raises:
            BuildError: it cannot be loaded.
        """
        return GraphReference(self._path, self._settings, self._rows)

    def graph(self) -> tuple[ir.Model, list[str]]:
        """Return the graph with the hidden states as output, converted from an older version of ONNX if needed.

        Raises:
            BuildError: it cannot be converted.
        """
        model = ir.load(self._path) if self._opset >= _OPSET else _converted(self._path)
        source_graph.keep_hidden(model)
        return model, apply(model, [FuseLayerNormPass()])

    def causes(self) -> list[str]:
        """Nothing: the weights have been compared."""
        return []

    def notes(self) -> list[str]:
        """Say what fidelity compares with, and whether the graph was compared with the weights."""
        name = place(self._encoder)
        converted = f" Its opset, {self._opset}, was converted to {_OPSET}." if self._opset < _OPSET else ""
        verified = (
            f"its constants are the {self._weights} weights that it takes from the safetensors beside it"
            if self._weights
            else "there are no safetensors beside it that it could be compared with"
        )
        return [
            f"built from the model's own {name}, without torch: fidelity to the source is to that graph, in fp32 by "
            f"ONNX Runtime, not to sentence-transformers; {verified}.{converted}"
        ]


def _converted(path: Path) -> ir.Model:
    proto = onnx.load(path, load_external_data=False)
    try:
        _modernize_softmax(proto)
        model = ir.from_proto(onnx.version_converter.convert_version(proto, _OPSET))
    except Exception as error:  # the library raises any type
        raise BuildError(
            f"the source graph cannot be converted to opset {_OPSET}: {reason(error)}. Export the model anew "
            "(`optimum-cli export onnx --task feature-extraction`), or build without FROM=onnx"
        ) from error
    ir.external_data.set_base_dir(model.graph, path.parent)
    return model


def _modernize_softmax(proto: onnx.ModelProto) -> None:
    """Name the last axis of attention's scores as such.

    Before opset 13 Softmax flattened all axes from the named one on, which the converter writes out where it does not
    know the rank. If it was no last axis, the vectors differ from the source's, and the build stops.
    """
    for node in proto.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Softmax" and attribute.name == "axis" and attribute.i == _SCORES_LAST:
                attribute.i = -1
