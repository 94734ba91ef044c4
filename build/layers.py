"""The layers after pooling: Dense and LayerNorm with their weights, and normalisation that is not the last module."""

from collections.abc import Mapping
from dataclasses import dataclass

from build import known_settings, tensors
from build.errors import BuildError
from build.modules import Module
from build.sources.snapshot import Snapshot
from build.tensors import Floats

_WEIGHTS = "model.safetensors"
# The default of sentence-transformers.
_DEFAULT_ACTIVATION = "torch.nn.modules.activation.Tanh"


@dataclass(frozen=True, eq=False)
class DenseLayer:
    """`activation(weight @ vector + bias)`; the weight is `[out, in]`, the activation the name of torch's class."""

    weight: Floats
    bias: Floats | None
    activation: str


@dataclass(frozen=True, eq=False)
class ScaleLayer:
    """torch's LayerNorm over the vector's components; `weight` and `bias` are `[width]`."""

    weight: Floats
    bias: Floats


@dataclass(frozen=True)
class UnitLayer:
    """Scale to unit length."""


Layer = DenseLayer | ScaleLayer | UnitLayer


def read(snapshot: Snapshot, modules: tuple[Module, ...]) -> tuple[Layer, ...]:
    """Read the settings and weights of the modules after pooling, in order.

    Raises:
        BuildError: a setting is unknown or not supported, or weights are missing or of another shape.
    """
    return tuple(_layer(snapshot, module) for module in modules)


def _layer(snapshot: Snapshot, module: Module) -> Layer:
    if module.kind == "Dense":
        return _dense(snapshot, module.folder)
    return _scale(snapshot, module.folder) if module.kind == "LayerNorm" else UnitLayer()


def _dense(snapshot: Snapshot, folder: str) -> DenseLayer:
    config = snapshot.json(f"{folder}/config.json")
    known_settings.check_own(config, known_settings.OF_DENSE, f"{snapshot.folder / folder / 'config.json'}")
    shape = (config.get("out_features"), config.get("in_features"))
    wanted = {"linear.weight": shape} | ({"linear.bias": shape[:1]} if config.get("bias", True) else {})
    weights = _weights(snapshot, folder, wanted)
    activation = str(config.get("activation_function", _DEFAULT_ACTIVATION)).rpartition(".")[2]
    return DenseLayer(weights["linear.weight"], weights.get("linear.bias"), activation)


def _scale(snapshot: Snapshot, folder: str) -> ScaleLayer:
    config = snapshot.json(f"{folder}/config.json")
    known_settings.check_own(config, known_settings.OF_LAYER_NORM, f"{snapshot.folder / folder / 'config.json'}")
    shape = (config.get("dimension"),)
    weights = _weights(snapshot, folder, {"norm.weight": shape, "norm.bias": shape})
    return ScaleLayer(weights["norm.weight"], weights["norm.bias"])


def _weights(snapshot: Snapshot, folder: str, wanted: Mapping[str, tuple[object, ...]]) -> dict[str, Floats]:
    """Return the tensors as fp32; the file must have exactly the names and shapes in `wanted`."""
    path = snapshot.folder / folder / _WEIGHTS
    if f"{folder}/{_WEIGHTS}" not in snapshot.files:
        raise BuildError(
            f"{path} is missing; weights as pickle (pytorch_model.bin) run code when they are loaded: convert them "
            "first (`safetensors.torch.save_file`), on a machine you can lose"
        )
    held = dict(tensors.read(path))
    shapes = {name: tensor.shape for name, tensor in held.items()}
    if shapes != dict(wanted):
        raise BuildError(f"{path} holds {shapes}, and its config.json says {dict(wanted)}")
    return held
