"""What a built model says of itself: the typed form of `models/<name>.json`.

The build stage writes it, the server refuses to start on anything that departs from it. It carries no time,
host or path, so that the same inputs give the same bytes.
"""

from typing import Annotated, Literal

import msgspec

SCHEMA = 2
READABLE = (1, 2)
"""Schema versions that can be read: 1 knows no graphs made for one device."""

Precision = Literal["fp32", "fp16", "int8", "int8-static"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8", "int8-static")

VariantName = Literal["fp32", "fp16", "int8", "int8-static", "fp32-cuda", "fp16-cuda"]
VARIANTS: tuple[VariantName, ...] = (*PRECISIONS, "fp32-cuda", "fp16-cuda")
FOR_CUDA: dict[Precision, VariantName] = {"fp32": "fp32-cuda", "fp16": "fp16-cuda"}
"""The graphs that only ONNX Runtime's CUDA provider can run, by their precision."""

PACKED = "pack-tokens"
"""The pass that makes a graph padding-free."""

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=128)]
Positive = Annotated[int, msgspec.Meta(ge=1)]


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One artifact file, named relative to the models folder."""

    file: Name
    bytes: Positive
    sha256: Sha256


class Similarity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cosine similarities of one variant's vectors to a reference's, over the fidelity texts."""

    mean: float
    p01: float
    min: float


class Fidelity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How near a variant stays to the fp32 graph and to the source model in torch."""

    to_fp32: Similarity
    to_source: Similarity


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One graph of the model: its file, how it was made and how faithful it is.

    One for `cuda` runs nowhere else; its fidelity is that of its CPU stand-in.
    """

    file: Name
    bytes: Positive
    sha256: Sha256
    precision: Precision
    passes: list[str]
    fidelity: Fidelity
    device: Literal["any", "cuda"] = "any"

    @property
    def packed(self) -> bool:
        """Whether the graph computes real tokens only, no padding."""
        return PACKED in self.passes


class ModelSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the weights came from. `files` maps each file read to its SHA-256."""

    kind: Literal["hub", "folder", "package", "synthetic"]
    id: str
    revision: str
    licence: str
    files: dict[str, Sha256]


class FidelityTexts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Texts that something was measured on."""

    count: Positive
    sha256: Sha256


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything the server needs to know of a model, and everything a user needs to trust it.

    `prompts` maps a prompt's name (`query`, `document`) to the text put before the input; `dimension` counts
    vector components, `max_tokens` counts tokens with the special ones included. `source_normalizes` says
    whether the source model itself ends in L2 normalisation (the graph always does). int8 took its ranges from
    `calibration_texts`; `notes` say what this architecture could not be given, and why.
    """

    schema: int
    name: Name
    source: ModelSource
    architecture: str
    dimension: Positive
    max_tokens: Annotated[int, msgspec.Meta(ge=3)]
    pooling: Literal["cls", "mean"]
    source_normalizes: bool
    prompts: dict[str, str]
    tokenizer: File
    variants: dict[VariantName, Variant]
    fidelity_texts: FidelityTexts
    calibration_texts: FidelityTexts
    notes: list[str]
    tools: dict[str, str]


def decode(raw: bytes) -> Manifest:
    """Parse a manifest.

    Raises:
        ValueError: not JSON, another schema version, an unknown or missing key, a value out of range.
    """
    version = msgspec.json.decode(raw, type=_Versioned).schema
    if version not in READABLE:
        raise ValueError(f"schema {version}, this version reads schema {' and '.join(map(str, READABLE))}")
    return msgspec.json.decode(raw, type=Manifest)


def encode(manifest: Manifest) -> bytes:
    """Serialize a manifest: indented, keys of every mapping sorted, so equal manifests are equal bytes."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2) + b"\n"


class _Versioned(msgspec.Struct):
    schema: int
