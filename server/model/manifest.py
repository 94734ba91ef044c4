"""The manifest of a built model, `models/<name>.json`, as typed structures.

The build stage writes it, and the server refuses to start with files that do not match it. It contains no time, host
or path, so that equal inputs give equal bytes.
"""

from collections.abc import Iterable
from typing import Annotated, Literal, get_args

import msgspec

from server.model.output_types import OutputName

SCHEMA = 2
SCHEMA_OF_TWO_FILES = 3
READABLE = (1, SCHEMA, SCHEMA_OF_TWO_FILES)
"""Schema versions that can be read; version 1 has no graphs for a single device.

Version 3 is written only if some variant has a second file, so that older versions of the server read all others.
"""

Precision = Literal["fp32", "fp16", "int8", "int8-static"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8", "int8-static")

VariantName = Literal["fp32", "fp16", "int8", "int8-static", "fp32-cuda", "fp16-cuda"]
VARIANTS: tuple[VariantName, ...] = (*PRECISIONS, "fp32-cuda", "fp16-cuda")
FOR_CUDA: dict[Precision, VariantName] = {"fp32": "fp32-cuda", "fp16": "fp16-cuda"}
"""The graphs that only ONNX Runtime's CUDA provider can run, by precision."""

PACKED = "pack-tokens"
"""The name of the pass that makes a graph padding-free."""
WEIGHTS = ".data"
"""What follows a graph's name in that of the file of its weights."""
ADDED_LAYERS = "add-layers"
"""The name of the pass that adds the layers after pooling."""

PoolingMode = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
POOLING_MODES: tuple[PoolingMode, ...] = get_args(PoolingMode)
_ONE_MODE = f"({'|'.join(POOLING_MODES)})"
PoolingName = Annotated[str, msgspec.Meta(pattern=rf"^{_ONE_MODE}(\+{_ONE_MODE})*$")]
"""A pooling mode, or several joined by `+`, whose vectors are concatenated in this order."""

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=128)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Magnitude = Annotated[float, msgspec.Meta(gt=0, le=1)]


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
    """One graph of the model: its file, how it was built, and its fidelity.

    A graph for `cuda` runs on no other device; its fidelity was measured with an equivalent CPU graph. `weights` is the
    file of its weights if they are too large for the graph's.
    """

    file: Name
    bytes: Positive
    sha256: Sha256
    precision: Precision
    passes: list[str]
    fidelity: Fidelity
    device: Literal["any", "cuda"] = "any"
    weights: File | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        """Raise ValueError if the file of the weights is not the one that the graph reads."""
        expected = f"{self.file}{WEIGHTS}"
        if self.weights is not msgspec.UNSET and self.weights.file != expected:
            raise ValueError(f"the weights of {self.file} are in {self.weights.file}, expected {expected}")

    @property
    def files(self) -> tuple[File, ...]:
        """The graph's file, and that of its weights if they are in another."""
        graph = File(self.file, self.bytes, self.sha256)
        return (graph,) if self.weights is msgspec.UNSET else (graph, self.weights)

    @property
    def total_bytes(self) -> int:
        """The size of its files."""
        return sum(file.bytes for file in self.files)

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
    """The number and digest of the texts used for a measurement."""

    count: Positive
    sha256: Sha256


class QualityVerdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `make choose` found to be the cheapest within a budget (docs/quantization.md).

    `loss` is the share of quality lost beside fp32, by `measure`, and `loss_at_most` the worse end of its confidence
    interval, on `texts` and `queries` of the user's.
    """

    precision: Precision
    output_dtype: OutputName
    dimensions: Positive
    budget: float
    measure: str
    loss: float
    loss_at_most: float
    texts: Positive
    queries: Positive

    def __str__(self) -> str:
        return (
            f"{self.precision}, output_dtype {self.output_dtype}, {self.dimensions} dimensions: at most "
            f"{self.loss_at_most:.2%} of {self.measure} lost, budget {self.budget * 100:g} %, "
            f"on {self.queries} queries over {self.texts} texts"
        )


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything the server needs to know about a model, and what a user needs to verify it.

    `prompts` maps a prompt's name (`query`, `document`) to the text put before the input; `dimension` is the number of
    vector components, `max_tokens` the limit in tokens, special tokens included. `source_normalizes` says whether the
    source model itself ends in L2 normalisation (the graph always does). int8 was calibrated on `calibration_texts`;
    `notes` list what the build left out for this architecture, and why. `default_prompt_name` names the prompt for
    texts that select none; the key is absent from the manifest of a model without a default prompt.
    `unpooled` gives the number of first tokens that the graph leaves out of the pooling, by the name of the prompt
    before a text; the key is absent if it pools all tokens. `spaces` gives the id of each variant's embedding space
    (docs/space.md); models built before it was written have none, and their ids are computed all the same.
    `int8_ranges` has the range of int8 output for each number of dimensions, in order; older models lack the key.
    `chosen` is the verdict of `make choose`; the key is absent until then, and after the next build.
    """

    schema: int
    name: Name
    source: ModelSource
    architecture: str
    dimension: Positive
    max_tokens: Annotated[int, msgspec.Meta(ge=3)]
    pooling: PoolingName
    source_normalizes: bool
    prompts: dict[str, str]
    tokenizer: File
    variants: dict[VariantName, Variant]
    fidelity_texts: FidelityTexts
    calibration_texts: FidelityTexts
    notes: list[str]
    tools: dict[str, str]
    default_prompt_name: str | msgspec.UnsetType = msgspec.UNSET
    unpooled: dict[str, Positive] | msgspec.UnsetType = msgspec.UNSET
    spaces: dict[VariantName, str] | msgspec.UnsetType = msgspec.UNSET
    int8_ranges: list[Magnitude] | msgspec.UnsetType = msgspec.UNSET
    chosen: QualityVerdict | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        """Raise ValueError if a prompt is named that does not exist, or ranges or verdict do not fit the model."""
        if self.int8_ranges is not msgspec.UNSET and len(self.int8_ranges) != self.dimension:
            raise ValueError(f"{len(self.int8_ranges)} int8_ranges for a dimension of {self.dimension}")
        if self.chosen is not msgspec.UNSET:
            self._check_chosen(self.chosen)
        if self.unpooled is not msgspec.UNSET and not self.unpooled.keys() <= self.prompts.keys():
            raise ValueError("unpooled names a prompt that the model does not have")
        if self.default_prompt_name is not msgspec.UNSET and self.default_prompt_name not in self.prompts:
            raise ValueError(
                f"default_prompt_name is none of the prompts: {', '.join(self.prompts) or 'there are none'}"
            )

    def _check_chosen(self, chosen: QualityVerdict) -> None:
        if chosen.precision not in self.precisions or chosen.dimensions > self.dimension:
            raise ValueError(
                f"chosen names {chosen.precision} and {chosen.dimensions} dimensions, which this model does not have"
            )

    @property
    def precisions(self) -> set[Precision]:
        """Return the precisions that it was built in, for whatever device."""
        return {variant.precision for variant in self.variants.values()}

    @property
    def default_prompt(self) -> str:
        """Return the prompt for texts that select none; empty if the model has no default."""
        return "" if self.default_prompt_name is msgspec.UNSET else self.prompts[self.default_prompt_name]

    @property
    def unpooled_by_prompt(self) -> dict[str, int]:
        """Return `unpooled` by the text of the prompt."""
        by_name = {} if self.unpooled is msgspec.UNSET else self.unpooled
        return {self.prompts[name]: count for name, count in by_name.items()}

    def int8_range(self, dimensions: int) -> float | None:
        """Return the range of int8 output for unit vectors of `dimensions` components; None if it is not known."""
        return None if self.int8_ranges is msgspec.UNSET else self.int8_ranges[dimensions - 1]


def decode(data: bytes) -> Manifest:
    """Parse a manifest.

    Raises:
        ValueError: it is not JSON, has another schema version, an unknown or missing key, or a value out of range.
    """
    version = msgspec.json.decode(data, type=_Versioned).schema
    if version not in READABLE:
        raise ValueError(f"schema {version}, this version reads schemas {', '.join(map(str, READABLE))}")
    return msgspec.json.decode(data, type=Manifest)


def schema_of(variants: Iterable[Variant]) -> int:
    """Return the lowest schema version that describes the variants."""
    return SCHEMA_OF_TWO_FILES if any(len(variant.files) > 1 for variant in variants) else SCHEMA


def encode(manifest: Manifest) -> bytes:
    """Serialize a manifest as indented JSON with sorted keys, so that equal manifests give equal bytes."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2) + b"\n"


class _Versioned(msgspec.Struct):
    schema: int
