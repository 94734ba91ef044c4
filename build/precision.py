"""From the fp32 graph to the other precisions."""

import tempfile
from pathlib import Path

import onnx
import onnx_ir as ir
from onnxruntime.quantization import QuantType, quantize_dynamic

from build.errors import BuildError
from build.passes import apply
from build.passes.halve_floats import HalveFloatsPass
from server.manifest import Precision

# A sum over the sequence, and the squares under a norm, can leave fp16's range (65,504): they stay in fp32.
_KEPT_FP32_PREFIXES = ("/pooling/", "/normalize/")


def convert(model: ir.Model, wanted: Precision) -> tuple[ir.Model, list[str]]:
    """A copy of the fp32 graph in another precision, and the names of the passes that made it.

    Raises:
        BuildError: there is no recipe for this precision.
    """
    if wanted == "fp16":
        halved = model.clone()
        return halved, apply(halved, [HalveFloatsPass()])
    if wanted == "int8":
        return to_int8(model), ["dynamic-int8-per-channel"]
    raise BuildError(f"no recipe for {wanted}")


def to_int8(model: ir.Model) -> ir.Model:
    """A copy with int8 linear layers, a scale per output channel; embedding tables stay as they are."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "int8.onnx"
        quantize_dynamic(
            ir.to_proto(model),
            path,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
        return ir.load(path)


def save(model: ir.Model, path: Path) -> None:
    """Write one self-contained file and flush it to disk.

    Raises:
        OSError: disk full or not writable.
    """
    with path.open("wb") as stream:
        stream.write(ir.to_proto(model).SerializeToString(deterministic=True))
        stream.flush()


def check(path: Path) -> None:
    """Run the ONNX checker on a file, as any other tool that opens it would.

    Raises:
        onnx.checker.ValidationError: the graph breaks the standard.
    """
    onnx.checker.check_model(str(path))
