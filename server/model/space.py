"""The id of an embedding space: which vectors can be compared with each other. Described in docs/space.md.

`NAME@HASH/PRECISION`: the hash covers everything of the source that determines a vector; the second part says in which
number format it was computed. Pure.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

import msgspec

from server.model.manifest import PRECISIONS, Manifest, Variant, VariantName

GRAMMAR = "NAME@HASH, or NAME@HASH/PRECISION, such as all-MiniLM-L6-v2@0123456789ab/int8-01234567"
# The longest name of a model, both hashes and the longest precision, with what separates them.
LONGEST = 128 + 1 + 12 + 1 + 11 + 1 + 8
_PRECISION = "|".join(f"{one}-[0-9a-f]{{8}}" if one.startswith("int8") else one for one in PRECISIONS)
_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,127}}@[0-9a-f]{{12}}(/({_PRECISION}))?")

# What of a manifest determines a vector besides files: in the hash under its own name.
SETTINGS = (
    "dimension",
    "max_tokens",
    "pooling",
    "source_normalizes",
    "prompts",
    "default_prompt_name",
    "unpooled",
)
_GRAPHS = (".onnx", ".onnx_data", ".onnx.data")
_CONFIGS = ("config.json", "modules.json")
# Exports for other engines, which a build does not read.
_OTHER_ENGINES = ("onnx", "openvino")


@dataclass(frozen=True, slots=True)
class Space:
    """A parsed id; `precision` is empty where the id names a model in any precision."""

    model: str
    precision: str

    def __str__(self) -> str:
        return f"{self.model}/{self.precision}" if self.precision else self.model

    @property
    def number_format(self) -> str:
        """The precision without the hash of how it was made: fp32, fp16, int8, int8-static, or empty."""
        return re.sub("-[0-9a-f]{8}$", "", self.precision)

    def admits(self, other: "Space") -> bool:
        """Return whether vectors of `other` are what this id asks for: the same model, and precision if it says one."""
        return self.model == other.model and self.precision in ("", other.precision)


def parse(text: str) -> Space:
    """Parse an id.

    Raises:
        ValueError: it does not follow the grammar; the message does not quote it.
    """
    if len(text) > LONGEST or not _ID.fullmatch(text):
        raise ValueError(f"is not the id of an embedding space: {GRAMMAR}")
    model, _, precision = text.partition("/")
    return Space(model, precision)


def of_model(manifest: Manifest) -> str:
    """Return the id of a model in any precision: NAME@HASH.

    Raises:
        ValueError: the manifest lists no file of weights.
    """
    files = {name: digest for name, digest in manifest.source.files.items() if _determines(name)}
    if not any(name.endswith(".safetensors") for name in files):
        # Built from the model's own graph, without the weights beside it.
        files |= {name: digest for name, digest in manifest.source.files.items() if name.endswith(_GRAPHS)}
    if not any(name.endswith((".safetensors", *_GRAPHS)) for name in files):
        raise ValueError("it lists no weights (source.files), without which vectors cannot be told apart")
    fields = msgspec.to_builtins(manifest)
    settings = {name: fields.get(name) for name in SETTINGS}
    hashed = {**settings, "tokenizer": manifest.tokenizer.sha256, "files": files}
    return f"{manifest.name}@{_digest(hashed)[:12]}"


def of_variant(manifest: Manifest, variant: Variant) -> str:
    """Return the id of a model's vectors in a variant's precision: NAME@HASH/PRECISION.

    The portable graph of a precision and the one for CUDA have one id.

    Raises:
        ValueError: as `of_model`.
    """
    return f"{of_model(manifest)}/{_precision(manifest, variant)}"


def of_variants(manifest: Manifest) -> dict[VariantName, str]:
    """Return the id of each variant.

    Raises:
        ValueError: as `of_model`.
    """
    model = of_model(manifest)
    return {name: f"{model}/{_precision(manifest, variant)}" for name, variant in manifest.variants.items()}


def _precision(manifest: Manifest, variant: Variant) -> str:
    if not variant.precision.startswith("int8"):
        return variant.precision
    recipe = [name for name in variant.passes if name.startswith("int8-") or name == "reduce-range"]
    hashed = {"calibration_texts": manifest.calibration_texts.sha256, "passes": recipe}
    return f"{variant.precision}-{_digest(hashed)[:8]}"


def _determines(name: str) -> bool:
    """Return whether a source file determines vectors; prompts, lengths and the tokenizer have keys of their own."""
    path = PurePosixPath(name)
    return path.parts[0] not in _OTHER_ENGINES and (path.suffix == ".safetensors" or path.name in _CONFIGS)


def _digest(value: object) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
