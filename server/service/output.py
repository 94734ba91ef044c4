"""How the vectors of one answer are encoded: their types, and numbers or base64."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from server.errors import InvalidError
from server.model.output_types import (
    COMPONENTS_PER_BYTE,
    FLOAT,
    LARGEST_CODE,
    OUTPUT_NAMES,
    TYPES,
    OutputName,
    OutputType,
)

BASE64 = "base64"
ENCODINGS = ("float", BASE64, *OUTPUT_NAMES[1:])
# Memory per component to encode an answer, reserved for one answer at a time: JSON numbers of float32.
RESERVED_BYTES = FLOAT.json_bytes
# A base64 string of float32, and its copy in the answer.
BASE64_BYTES = 12
# Arrays of the vectors cut, and converted.
ARRAY_BYTES = 8


@dataclass(frozen=True, slots=True)
class Output:
    """One form of the vectors. `limit` is int8's range for their number of components, 1 for other types."""

    kind: OutputType = FLOAT
    base64: bool = False
    limit: float = 1.0

    @classmethod
    def stored(cls, name: str, scale: str) -> "Output":
        """Return the form whose type and scale a store, file or journal says, as `said` writes them.

        Raises:
            ValueError: there is no such type, or it lacks its scale.
        """
        kind = TYPES.get(cast(OutputName, name))
        try:
            factor = float(scale) if kind and kind.scaled else 1 / LARGEST_CODE
        except ValueError:
            factor = 0.0
        # The range of unit vectors is at most 1; a client may have rounded its scale.
        if kind is None or not 0 < factor <= (1 + 1e-9) / LARGEST_CODE:
            raise ValueError(f"says vectors of type {name[:20]!a} and scale {scale[:40]!a}, which are unknown")
        return cls(kind, limit=factor * LARGEST_CODE)

    @classmethod
    def of_marks(cls, marks: Mapping[str, Any], dtype: str, scale: str) -> "Output":
        """Return the form that `marks` say under these keys; float32 if they say none.

        Raises:
            ValueError: as `stored`.
        """
        return cls.stored(str(marks.get(dtype, FLOAT.name)), str(marks.get(scale, "")))

    @property
    def said(self) -> tuple[str, str]:
        """The type's name and its scale, as text; without a scale, an empty text."""
        return self.kind.name, "" if self.scale is None else repr(self.scale)

    def marks(self, dtype: str, scale: str) -> dict[str, str]:
        """Return type and scale under these keys, as stores and files keep them; none for float32."""
        if self.kind is FLOAT:
            return {}
        return {key: text for key, text in zip((dtype, scale), self.said, strict=True) if text}

    @property
    def scale(self) -> float | None:
        """Return the factor from a code of int8 to a component; None for types without one."""
        return self.limit / LARGEST_CODE if self.kind.scaled else None


FLOAT32 = Output()


def extra_bytes(outputs: tuple[Output, ...]) -> int:
    """Return the memory per component to encode an answer of several forms, beyond what is reserved for one."""
    if len(outputs) < 2:
        return 0
    each = (BASE64_BYTES if output.base64 else output.kind.json_bytes for output in outputs)
    return max(0, sum(each) + ARRAY_BYTES - RESERVED_BYTES)


def read_encoding(
    encoding_format: str | None = None, output_dtype: str | None = None, embedding_type: str | None = None
) -> tuple[OutputName, bool]:
    """Return the type that the options of a request name, and whether it is written as base64.

    `encoding_format` and `embedding_type` are a type or `base64`, `output_dtype` is a type. `encoding_format: "float"`
    means JSON numbers, of whichever type another option names. No two others may name a type.

    Raises:
        InvalidError: one is unknown, or they contradict each other.
    """
    given = {"encoding_format": encoding_format, "output_dtype": output_dtype, "embedding_type": embedding_type}
    named = {field: value for field, value in given.items() if value is not None}
    for field, value in named.items():
        known = OUTPUT_NAMES if field == "output_dtype" else ENCODINGS
        if value not in known:
            raise InvalidError(f"{field} must be one of {', '.join(known)}", param=field)
    base64 = BASE64 in named.values()
    if base64 and encoding_format == "float":
        raise InvalidError(
            "encoding_format asks for numbers and embedding_type for base64; send one", param="embedding_type"
        )
    types = {field: value for field, value in named.items() if value != BASE64}
    if len(types) > 1 and encoding_format == "float":
        del types["encoding_format"]
    if len(types) > 1:
        fields = " and ".join(types)
        raise InvalidError(f"{fields} each name a type; send one of them", param=next(reversed(types)))
    return cast(OutputName, next(iter(types.values()), FLOAT.name)), base64


def find_output(kind: OutputName, base64: bool, dimensions: int, limit: float | None, field: str) -> Output:
    """Return the output of a type for vectors of `dimensions` components.

    `limit` is int8's range, if it is known; `field` is the option that names the type.

    Raises:
        InvalidError: the type cannot hold such vectors, or needs a range that the model was built without.
    """
    output_type = TYPES[kind]
    if output_type.packed and dimensions % COMPONENTS_PER_BYTE:
        raise InvalidError(
            f"{kind} packs eight components into a byte, so the dimension must be divisible by 8: it is {dimensions}",
            param=field,
        )
    if not output_type.scaled:
        return Output(output_type, base64)
    if limit is None:
        raise InvalidError(
            f"{kind} needs ranges that this model was built without; build it again with this version, or take "
            "float, float16, binary or ubinary",
            param=field,
        )
    return Output(output_type, base64, limit)
