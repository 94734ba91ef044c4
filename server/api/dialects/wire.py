"""Serializes converted vectors: as JSON values, or as the raw bytes of a matrix, as the `Accept` header asks for."""

import binascii
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.api.operation import JSON
from server.errors import InvalidError
from server.service.embed_request import EmbedRequest
from server.service.output import Output

BYTES = "application/octet-stream"
NPY = "application/x-npy"
# In the order of preference where `Accept` has none.
MEDIA = (JSON, BYTES, NPY)


def json_values(rows: NDArray[Any], output: Output) -> Sequence[object] | NDArray[Any]:
    """Return vectors as values that orjson serializes: rows of numbers, or base64 strings of their bytes."""
    return [base64(row) for row in rows] if output.base64 else rows


def json_forms(question: EmbedRequest, vectors: NDArray[np.float32]) -> list[Sequence[object] | NDArray[Any]]:
    """Return the vectors in each form that `question` asks for, as `json_values`."""
    forms = zip(question.returned(vectors), question.outputs, strict=True)
    return [json_values(rows, output) for rows, output in forms]


def base64(row: NDArray[Any]) -> str:
    """Return the bytes of one little-endian vector in base64."""
    return binascii.b2a_base64(row.data, newline=False).decode("ascii")


def raw(question: EmbedRequest, vectors: NDArray[np.float32], media: str) -> tuple[memoryview, dict[str, str]]:
    """Return vectors as a row-major, little-endian matrix, with the headers that give its shape and type."""
    [rows] = question.returned(vectors)
    [output] = question.outputs
    rows = np.ascontiguousarray(rows)
    headers = {
        "x-embedding-shape": ",".join(map(str, rows.shape)),
        "x-embedding-type": output.kind.name,
        "x-embedding-dtype": rows.dtype.name,
    }
    if media == BYTES:
        return rows.data.cast("B"), headers
    file = io.BytesIO()
    np.save(file, rows, allow_pickle=False)
    return file.getbuffer(), headers


def scale_header(outputs: Iterable[Output]) -> dict[str, str]:
    """Return the header with the factor from int8 codes to components, if the answer has any."""
    scale = next((output.scale for output in outputs if output.scale is not None), None)
    return {} if scale is None else {"x-embedding-scale": format(scale, ".9g")}


def choose_media(accept: Iterable[str], outputs: Sequence[Output]) -> str:
    """Return the media type of an answer with `outputs`, from the values of the `Accept` header (RFC 9110, 12.5.1).

    JSON, unless another is preferred by name. JSON also if none is acceptable, as without the header.

    Raises:
        InvalidError: raw bytes are preferred, and the request asks for base64 or for several types.
    """
    members = [_member(part) for value in accept for part in value.split(",")]
    preferences = {media: _preference(media, members) for media in MEDIA}
    best = max(MEDIA, key=preferences.__getitem__)  # the first of equals
    if not outputs or best == JSON or not preferences[best][0]:
        return JSON
    if len(outputs) > 1:
        raise InvalidError(f"Accept: {best} holds vectors of one type; the request asks for {len(outputs)}")
    if outputs[0].base64:
        raise InvalidError(
            f"Accept: {best} asks for bytes, and encoding_format for base64 in JSON; send one of them",
            param="encoding_format",
        )
    return best


def _member(part: str) -> tuple[str, float]:
    """Return a media range and its weight; 0 where the weight is not a number from 0 to 1."""
    media, *parameters = (piece.strip().lower() for piece in part.split(";"))
    return media, next(_weights(parameters), 1.0)


def _weights(parameters: Iterable[str]) -> Iterator[float]:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                weight = 0.0
            yield weight if 0 <= weight <= 1 else 0.0


def _preference(media: str, members: Sequence[tuple[str, float]]) -> tuple[float, int]:
    """Return the weight of `media` by the most specific range that matches it, and how specific that is."""
    kind = media.partition("/")[0]
    for specific, name in ((2, media), (1, f"{kind}/*"), (0, "*/*")):
        weights = [weight for named, weight in members if named == name]
        if weights:
            return max(weights), specific
    return 0.0, 0
