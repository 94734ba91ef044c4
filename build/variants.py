"""Convert the plain fp32 graph to each variant: packed, fp16, two int8 recipes, and packed for CUDA."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir
from onnxruntime.quantization import QuantType, quantize_dynamic

from build import graph_files, overflow
from build.passes import GraphPass, UnsupportedGraphError, apply
from build.passes.halve_floats import HalveFloatsPass
from build.passes.packing import cuda_passes, packing_passes
from build.passes.share_weights import ShareWeightsPass
from build.passes.stand_in import StandInPass
from build.pooling import Pooling
from build.quantize import Batch, Ranges, calibrate, dynamic_int8, static_int8
from server.inference.engine import pad, split
from server.model.manifest import VariantName

# Calibration only keeps minima and maxima, so small batches suffice.
_BATCH_TOKENS = 1024
BATCH_VARIANT = (
    "int8 rounds a whole batch with one scale, so that a text's vector depends on its neighbours: "
    "the recipe with a scale per token needs the packed graph"
)


@dataclass(frozen=True)
class Graphs:
    """The fp32 graph as exported and, for supported architectures, padding-free with calibration ranges.

    `passes` lists the passes of the plain graph, `packing` those that make the packed one from it; `notes` explains
    what is missing.
    """

    plain: ir.Model
    passes: list[str]
    pooling: Pooling
    packed: ir.Model | None = None
    packing: tuple[str, ...] = ()
    ranges: Ranges | None = None
    notes: tuple[str, ...] = ()


def prepare(plain: ir.Model, passes: list[str], pooling: Pooling, sequences: list[list[int]]) -> Graphs:
    """Pack the plain graph and calibrate it on token `sequences`; keep only the plain graph if packing is unsupported.

    Raises:
        BuildError: the packed graph's activations are not finite.
    """
    packed = plain.clone()
    try:
        packing = apply(packed, packing_passes(pooling))
    except UnsupportedGraphError as error:
        return Graphs(plain, passes, pooling, notes=(f"not padding-free, served as exported: {error}", BATCH_VARIANT))
    return Graphs(plain, passes, pooling, packed, tuple(packing), calibrate(packed, _batches(sequences)))


class NoRecipeError(Exception):
    """The graph cannot be converted to a variant; the message names it and the reason."""


def convert(graphs: Graphs, wanted: VariantName) -> tuple[ir.Model, list[str]]:
    """Return the graph of one variant and the names of its passes.

    Raises:
        NoRecipeError: the graph does not support this variant.
    """
    if wanted in ("fp32-cuda", "fp16-cuda"):
        return _for_cuda(graphs, wanted)
    if wanted == "fp16":
        # From the plain graph, which every provider can run; CUDA has its own variants.
        halved = graphs.plain.clone()
        return halved, graphs.passes + apply(halved, [HalveFloatsPass()])
    if wanted == "fp32":
        return _fp32(graphs)
    if graphs.packed is None or graphs.ranges is None:
        if wanted != "int8":
            raise NoRecipeError(f"{wanted} cannot be made from the graph as exported")
        return batch_int8(graphs.plain), [*graphs.passes, "int8-batch", "reduce-range"]
    recipe = dynamic_int8 if wanted == "int8" else static_int8
    made = recipe(graphs.packed.clone(), graphs.ranges)
    name = "int8-token" if wanted == "int8" else "int8-static"
    return made, [*graphs.passes, *graphs.packing, name, "int8-pairs"]


def _fp32(graphs: Graphs) -> tuple[ir.Model, list[str]]:
    if graphs.packed is None:
        return graphs.plain, graphs.passes
    made = graphs.packed.clone()
    return made, [*graphs.passes, *graphs.packing, *apply(made, [ShareWeightsPass()])]


def _for_cuda(graphs: Graphs, wanted: VariantName) -> tuple[ir.Model, list[str]]:
    made = graphs.plain.clone()
    halve: list[GraphPass] = [HalveFloatsPass()] if wanted == "fp16-cuda" else []
    try:
        return made, graphs.passes + apply(made, [*cuda_passes(graphs.pooling), *halve])
    except UnsupportedGraphError as error:
        raise NoRecipeError(f"{wanted} cannot be made, CUDA gets the graph that runs everywhere: {error}") from None


def convert_partly(
    graphs: Graphs, wanted: VariantName, sequences: list[list[int]]
) -> tuple[ir.Model, list[str], tuple[str, ...]]:
    """Return an fp16 graph that computes in fp32 what exceeds fp16's range on token `sequences`.

    Also return its passes and the modules in fp32; there are none if nothing exceeds the range.
    """
    made = graphs.plain.clone()
    passes = apply(made, cuda_passes(graphs.pooling)) if wanted == "fp16-cuda" else []
    runnable = made.clone()
    apply(runnable, [StandInPass()] if wanted == "fp16-cuda" else [])
    exceeding = overflow.find(runnable, _batches(sequences))
    return made, [*graphs.passes, *passes, *apply(made, [HalveFloatsPass(exceeding)])], exceeding.modules


def _batches(sequences: list[list[int]]) -> Iterator[Batch]:
    for rows in split([len(ids) for ids in sequences], _BATCH_TOKENS):
        yield pad([sequences[row] for row in rows])


def batch_int8(plain: ir.Model, largest: int = graph_files.LARGEST) -> ir.Model:
    """Apply ONNX Runtime's dynamic quantization, per output channel, to MatMul only, with 7-bit weights."""
    with tempfile.TemporaryDirectory() as scratch:
        whole, path = Path(scratch) / "fp32.onnx", Path(scratch) / "int8.onnx"
        graph_files.save(plain, whole, largest)
        quantize_dynamic(
            whole,
            path,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            reduce_range=True,  # exact on processors that add products in 16 bits, too
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
            use_external_data_format=len(graph_files.of(whole)) > 1,
        )
        return ir.external_data.load_to_model(ir.load(path))
