"""Writes graphs, as one ONNX file or with their weights in a second file, and runs them in memory."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from server.model.manifest import WEIGHTS

LARGEST = 2_000_000_000
"""Bytes of weights that one file holds: protobuf limits a message to 2**31 - 1, and there are nodes and names too."""
# Smaller tensors stay in the graph's file: ONNX Runtime reads them to infer shapes.
_SMALL = 1024
# Windows maps files into memory from multiples of this on, other systems from those of a page.
_ALIGNMENT = 65536


def weights_path(path: Path) -> Path:
    """Return the path of the second file, `NAME.onnx.data` for `NAME.onnx`."""
    return path.with_name(f"{path.name}{WEIGHTS}")


def of(path: Path) -> list[Path]:
    """Return the files of the graph saved at `path`, that first."""
    beside = weights_path(path)
    return [path, beside] if beside.exists() else [path]


def load(path: Path) -> ir.Model:
    """Read a graph; weights stay in their files until they are needed, constants of nodes are read from them."""
    model = ir.load(path)
    for node, name, tensor in list(external_constants(model)):
        read_constant(node, name, tensor)
    return model


def external_constants(model: ir.Model) -> Iterator[tuple[ir.Node, str, ir.ExternalTensor]]:
    """Yield the nodes' own tensors that are in another file, with the name of the attribute."""
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        for name, attribute in node.attributes.items():
            if attribute.type == ir.AttributeType.TENSOR and isinstance(attribute.value, ir.ExternalTensor):
                yield node, name, attribute.value


def read_constant(node: ir.Node, name: str, tensor: ir.ExternalTensor) -> None:
    """Replace a node's own tensor by its content."""
    node.attributes[name] = ir.AttrTensor(name, ir.Tensor(tensor.numpy().copy(), name=tensor.name))


def save(model: ir.Model, path: Path, largest: int = LARGEST) -> None:
    """Write the model to `path`, and weights of more than `largest` bytes to a file beside it; the model is unchanged.

    Weights are in the order of the graph, so that equal models give equal bytes.

    Raises:
        OSError: disk full, or path not writable.
    """
    beside = weights_path(path)
    with _restored(model):
        if exceeds(model, largest):
            ir.external_data.unload_from_model(
                model, path.parent, beside.name, size_threshold_bytes=_SMALL, alignment=_ALIGNMENT
            )
        else:
            ir.external_data.load_to_model(model)
            beside.unlink(missing_ok=True)
        with path.open("wb") as stream:
            stream.write(ir.to_proto(model).SerializeToString(deterministic=True))


def exceeds(model: ir.Model, largest: int) -> bool:
    """Return whether the weights take more than `largest` bytes."""
    return sum(int(tensor.nbytes) for _, tensor in _weights(model.graphs())) > largest


class Session(ort.InferenceSession):  # type: ignore[misc]
    """A session of a model in memory, on CPU.

    Weights are passed beside the graph, without a copy, wherever they are and whatever their size.
    """

    def __init__(self, model: ir.Model, options: ort.SessionOptions | None = None) -> None:
        """Open the model, which is unchanged."""
        options = options or ort.SessionOptions()
        weights = _weights([model.graph])
        # ONNX Runtime reads from these arrays and does not keep them.
        self._arrays = {value.name: np.ascontiguousarray(one.numpy()) for value, one in weights if _is_large(one)}
        values = [ort.OrtValue.ortvalue_from_numpy(array) for array in self._arrays.values()]
        with _restored(model):
            for value, tensor in weights:
                value.const_value = _placeholder(tensor) if _is_large(tensor) else ir.Tensor(tensor.numpy())
            graph = ir.to_proto(model).SerializeToString()
        options.add_external_initializers(list(self._arrays), values)
        super().__init__(graph, options, providers=["CPUExecutionProvider"])


def _weights(graphs: Iterable[ir.Graph]) -> list[tuple[ir.Value, ir.TensorProtocol]]:
    values = (value for graph in graphs for value in graph.initializers.values())
    return [(value, value.const_value) for value in values if value.const_value is not None]


def _is_large(tensor: ir.TensorProtocol) -> bool:
    return int(tensor.nbytes) > _SMALL


def _placeholder(tensor: ir.TensorProtocol) -> ir.ExternalTensor:
    """Return a tensor without content, which ONNX Runtime looks up by its name."""
    return ir.ExternalTensor("weights", 0, tensor.nbytes, tensor.dtype, shape=tensor.shape, name=tensor.name or "")


@contextmanager
def _restored(model: ir.Model) -> Iterator[None]:
    """Put the weights back that the block replaces."""
    held = _weights(model.graphs())
    try:
        yield
    finally:
        for value, tensor in held:
            value.const_value = tensor
