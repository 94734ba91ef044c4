"""Compare the constants of a source graph with the weights in safetensors beside it."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from build import source_graph, tensors
from build.errors import BuildError
from build.passes.name_weights import module_path
from build.sources.snapshot import Snapshot, place

# A weight of a layer is in a list of them, by number; ALBERT's are called albert_layers and albert_layer_groups.
_LAYERS = ("layer", "layers", "layer_groups")
_SHOWN = "the file was made of other weights, or changed since. Export the model anew, or build without FROM=onnx"


@dataclass(frozen=True)
class _Constant:
    """A constant of the graph: the name that it should have among the weights, and digests of it and its transpose."""

    name: str
    digests: frozenset[bytes]


def verify(model: ir.Model, encoder: Snapshot) -> int | None:
    """Check that the graph's constants are the encoder's weights; return their number, None if there are no weights.

    Raises:
        BuildError: the graph holds other weights, or lacks those of a layer; or a file cannot be read.
    """
    files = [name for name in encoder.files if name.endswith(".safetensors") and "/" not in name]
    if not files:
        return None
    constants = [_constant(value, data) for value, data in source_graph.floats(model)]
    weights = {name: digest for file in files for name, digest in _digests(encoder, file)}
    _check_named(constants, weights, encoder)
    held = frozenset().union(*(constant.digests for constant in constants))
    missing = [name for name, digest in weights.items() if digest not in held and _of_layer(name)]
    if missing:
        raise BuildError(
            f"{encoder.folder / place(encoder)} does not hold {len(missing)} of the weights in "
            f"{', '.join(files)}, such as {missing[0]!r}: {_SHOWN}"
        )
    return sum(digest in held for digest in weights.values())


def _digests(encoder: Snapshot, file: str) -> Iterator[tuple[str, bytes]]:
    return ((name, _digest(data)) for name, data in tensors.read(encoder.folder / file))


def _check_named(constants: list[_Constant], weights: Mapping[str, bytes], encoder: Snapshot) -> None:
    by_suffix = _by_suffix(weights)
    for constant in constants:
        name = _counterpart(constant.name, by_suffix)
        if name and weights[name] not in constant.digests:
            raise BuildError(
                f"{encoder.folder / place(encoder)}: {constant.name!r} is not the {name!r} of the safetensors: {_SHOWN}"
            )


def _by_suffix(names: Mapping[str, bytes]) -> dict[str, str]:
    """Map each unambiguous end of a dotted name to the name."""
    out: dict[str, str] = {}
    for name in names:
        for end in _ends(name):
            out[end] = "" if end in out else name
    return out | {name: name for name in names}


def _ends(name: str) -> list[str]:
    """Return the name, and its ends of three parts or more: shorter ones may belong to another module."""
    parts = name.split(".")
    return [name, *(".".join(parts[start:]) for start in range(1, len(parts) - 2))]


def _counterpart(name: str, by_suffix: Mapping[str, str]) -> str:
    """Return the weight with the longest end in common; exporters and heads put other prefixes before a name."""
    return next((by_suffix[end] for end in _ends(name) if by_suffix.get(end)), "")


def _constant(value: ir.Value, data: NDArray[np.float32]) -> _Constant:
    turned = [_digest(data.T)] if data.ndim == 2 else []
    return _Constant(_name(value), frozenset([_digest(data), *turned]))


def _name(value: ir.Value) -> str:
    """The name of a constant, or for an anonymous one that of the linear layer that reads it."""
    name = value.name or ""
    if "::" not in name:
        return name
    readers = [node for node in value.consumers() if node.op_type == "MatMul"]
    return module_path(readers[0].name or "") if readers else ""


def _digest(data: NDArray[np.float32]) -> bytes:
    return hashlib.sha256(repr(data.shape).encode() + np.ascontiguousarray(data).tobytes()).digest()


def _of_layer(name: str) -> bool:
    parts = name.split(".")
    return any(part.endswith(_LAYERS) and after.isdecimal() for part, after in pairwise(parts))
