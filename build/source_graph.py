"""A model's own ONNX file as the source of a build: read without trusting it, and refused in words if it is no export.

Only a plain fp32 export of the encoder is taken: what others have quantized, halved or fused is never served.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from build import graph_files
from build.errors import BuildError, raise_if_any
from build.passes.graph import array
from build.sources.snapshot import Snapshot, place

OPSETS = range(11, 24)
HIDDEN = ("last_hidden_state", "token_embeddings")
"""Names of the output with one vector per token."""
SENTENCE = "sentence_embedding"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger")
_FULL = {ir.DataType.FLOAT, ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL}
_POINTER = b"version https://git-lfs"
_EXPORT_ANEW = "export the model anew (`optimum-cli export onnx --task feature-extraction`), or build without FROM=onnx"


def load(encoder: Snapshot) -> ir.Model:
    """Read and check the graph; its tensors are within their files.

    Raises:
        BuildError: it is damaged, or no plain fp32 export of an encoder; with all problems.
    """
    name = place(encoder)
    path = encoder.folder / name
    model = _parse(path)
    _check_external(model, encoder, PurePosixPath(name).parent)
    _follow_links(model)
    raise_if_any(f"{path}: {problem}" for problem in dict.fromkeys(_problems(model)))
    return model


def is_external(model: ir.Model) -> bool:
    """Return whether weights are in another file than the graph."""
    return any(_externals(model))


def hidden(model: ir.Model) -> ir.Value:
    """Return the output with one vector per token."""
    return next(value for value in model.graph.outputs if value.name in HIDDEN)


def rows(model: ir.Model) -> int:
    """Return the number of rows of the word embedding table.

    Raises:
        BuildError: the ids are not looked up in a constant table.
    """
    ids = next(value for value in model.graph.inputs if value.name == "input_ids")
    tables = [node.inputs[0] for node in ids.consumers() if node.op_type == "Gather" and node.inputs[1] is ids]
    sizes = [data.shape[0] for table in tables if (data := array(table)) is not None and data.ndim == 2]
    if not sizes:
        raise BuildError(f"the source graph looks input_ids up in no table of its own; {_EXPORT_ANEW}")
    return int(min(sizes))


def _parse(path: Path) -> ir.Model:
    content = path.read_bytes()
    if content.startswith(_POINTER):
        raise BuildError(f"{path} is the pointer of a file in Git LFS, not the file; fetch it with `git lfs pull`")
    try:
        model = ir.from_proto(onnx.load_model_from_string(content))
    except Exception as error:  # the library raises any type
        raise BuildError(f"{path} is no ONNX file, or not all of it is there ({type(error).__name__})") from error
    ir.external_data.set_base_dir(model.graph, path.parent)
    return model


def _externals(model: ir.Model) -> Iterator[tuple[ir.Value, ir.ExternalTensor]]:
    """Yield the weights that are in another file than the graph."""
    for value in model.graph.initializers.values():
        if isinstance(value.const_value, ir.ExternalTensor):
            yield value, value.const_value


def _check_external(model: ir.Model, encoder: Snapshot, folder: PurePosixPath) -> None:
    """Check that external tensors are in files of the snapshot beside the graph, and whole."""
    tensors = [tensor for _, tensor in _externals(model)] + [one for *_, one in graph_files.external_constants(model)]
    raise_if_any(problem for tensor in tensors if (problem := _external(tensor, encoder, folder)))


def _follow_links(model: ir.Model) -> None:
    """Read checked weights from where links lead: onnx_ir follows none out of a folder, as those of the Hub's cache."""
    for value, tensor in list(_externals(model)):
        value.const_value = _resolved(tensor)
    for node, name, tensor in list(graph_files.external_constants(model)):
        graph_files.read_constant(node, name, _resolved(tensor))


def _resolved(tensor: ir.ExternalTensor) -> ir.ExternalTensor:
    file = Path(tensor.base_dir, tensor.location).resolve()
    where = (file.name, tensor.offset, tensor.length)
    return ir.ExternalTensor(*where, tensor.dtype, shape=tensor.shape, name=tensor.name or "", base_dir=file.parent)


def _external(tensor: ir.ExternalTensor, encoder: Snapshot, folder: PurePosixPath) -> str:
    location = str(tensor.location)
    name = (folder / location).as_posix()
    if PurePosixPath(location).name != location or name not in encoder.files:
        return f"the graph's weights are in {location!r}, which is no file beside it; fetch model.onnx_data, too"
    wanted = tensor.nbytes
    first = tensor.offset or 0
    if first < 0 or (tensor.length is not None and tensor.length != wanted):
        return f"{tensor.name!r} is {wanted} bytes, and the graph says it takes {tensor.length} from {first}"
    held = (encoder.folder / name).stat().st_size
    if first + wanted > held:
        return f"{encoder.folder / name} is not whole: {tensor.name!r} ends at byte {first + wanted} of {held}"
    return ""


def _problems(model: ir.Model) -> Iterator[str]:
    yield from _nodes(model)
    yield from _types(model)
    yield from _inputs(model.graph)
    yield from _outputs(model.graph)
    version = model.opset_imports.get("")
    if version not in OPSETS:
        yield f"its opset is {version}; {OPSETS[0]} to {OPSETS[-1]} can be read: {_EXPORT_ANEW}"


def _nodes(model: ir.Model) -> Iterator[str]:
    if model.functions:
        yield f"it has functions of its own; {_EXPORT_ANEW}"
    for node in model.graph:
        if node.op_type in _QUANTIZED or node.op_type.startswith("QLinear"):
            yield f"it is quantized already ({node.op_type}), and that is never served; {_EXPORT_ANEW}"
        elif node.domain not in ("", "ai.onnx"):
            yield f"it has operators outside the ONNX standard ({node.domain}::{node.op_type}); {_EXPORT_ANEW}"
        if any(attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for attribute in _attributes(node)):
            yield f"it branches ({node.op_type}); {_EXPORT_ANEW}"


def _attributes(node: ir.Node) -> list[ir.Attr]:
    return list(node.attributes.values())


def _types(model: ir.Model) -> Iterator[str]:
    """Report weights and casts in other than full precision."""
    for value in model.graph.initializers.values():
        yield from _type(value.const_value)
    for node in model.graph:
        target = node.attributes.get_int("to", None) if node.op_type == "Cast" else None
        if target is not None and ir.DataType(target) not in _FULL | {ir.DataType.DOUBLE}:
            yield _reduced(ir.DataType(target))
        if node.op_type == "Constant" and "value" in node.attributes:
            yield from _type(node.attributes["value"].as_tensor())


def _type(tensor: ir.TensorProtocol | None) -> Iterator[str]:
    if tensor is None:
        yield f"it has a weight without values; {_EXPORT_ANEW}"
    elif tensor.dtype not in _FULL and tensor.size > 1:
        yield _reduced(tensor.dtype)


def _reduced(dtype: ir.DataType) -> str:
    return f"it holds numbers in {dtype.name}: a conversion, not the model's export; {_EXPORT_ANEW}"


def _inputs(graph: ir.Graph) -> Iterator[str]:
    inputs = [value for value in graph.inputs if value.name not in graph.initializers]
    names = [value.name for value in inputs]
    if set(names) - set(INPUTS) or not set(INPUTS[:2]) <= set(names):
        yield f"its inputs are {', '.join(map(str, names)) or 'none'}; it takes {', '.join(INPUTS)}, the last optional"
        return
    for value in inputs:
        if value.dtype != ir.DataType.INT64:
            yield f"its input {value.name} is not int64; {_EXPORT_ANEW}"
        if value.shape is None or len(value.shape) != 2 or any(isinstance(size, int) for size in value.shape):
            yield f"its input {value.name} has the shape {value.shape}, not one of any batch and length; {_EXPORT_ANEW}"


def _outputs(graph: ir.Graph) -> Iterator[str]:
    names = [value.name for value in graph.outputs]
    if not set(HIDDEN) & set(names):
        yield (
            f"its outputs are {', '.join(map(str, names)) or 'none'}, and none is {' or '.join(HIDDEN)}: of vectors "
            f"that are pooled already no variant can be made; {_EXPORT_ANEW}"
        )


def keep_hidden(model: ir.Model) -> None:
    """Leave the hidden states as the only output, named as the passes expect."""
    kept = hidden(model)
    model.graph.outputs[:] = [kept]
    kept.name = HIDDEN[0]


def floats(model: ir.Model) -> Iterator[tuple[ir.Value, NDArray[np.float32]]]:
    """Yield the fp32 constants of more than one number: initializers, and values of Constant nodes."""
    constants = (node.outputs[0] for node in model.graph if node.op_type == "Constant")
    for value in (*model.graph.initializers.values(), *constants):
        data = array(value)
        if data is not None and data.dtype == np.float32 and data.size > 1:
            yield value, data.astype(np.float32, copy=False)
