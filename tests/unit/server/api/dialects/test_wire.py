import io

import numpy as np
import pytest

from server.api.dialects import wire
from server.api.operation import JSON
from server.errors import InvalidError
from server.inference.engine import Vectors
from server.model.output_types import TYPES
from server.service.embed_request import EmbedRequest
from server.service.output import Output

VECTORS: Vectors = np.array([[0.6, -0.8] * 8, [-0.6, 0.8] * 8], np.float32)
FLOATS = (Output(),)


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ([], JSON),
        ([""], JSON),
        (["*/*"], JSON),
        (["application/*"], JSON),
        (["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], JSON),
        (["application/json, text/plain, */*"], JSON),
        (["image/png"], JSON),
        (["application/octet-stream"], wire.BYTES),
        (["Application/Octet-Stream; q=1"], wire.BYTES),
        (["application/x-npy"], wire.NPY),
        (["application/octet-stream, */*"], wire.BYTES),
        (["application/x-npy", "application/json;q=0.5"], wire.NPY),
        (["application/x-npy;q=0.1, application/octet-stream;q=0.2"], wire.BYTES),
        (["application/octet-stream;q=0.2, application/json;q=0.3"], JSON),
        (["application/octet-stream;q=0, application/json;q=0"], JSON),
        (["application/json;q=0, application/*;q=0.1"], wire.BYTES),
        (["application/octet-stream;q=nan, */*;q=0.1"], JSON),
        (["application/octet-stream;q=2"], JSON),
        ([",;,;q=,application/x-npy;charset=x;q=0.5"], wire.NPY),
    ],
)
def test_the_media_type_that_is_preferred(accept: list[str], media: str) -> None:
    assert wire.choose_media(accept, FLOATS) == media


def test_an_answer_without_vectors_is_json() -> None:
    assert wire.choose_media(["application/octet-stream"], ()) == JSON


@pytest.mark.parametrize("outputs", [(Output(base64=True),), (Output(), Output(TYPES["int8"]))])
def test_types_that_contradict_accept_are_refused(outputs: tuple[Output, ...]) -> None:
    with pytest.raises(InvalidError, match="Accept: application/x-npy"):
        wire.choose_media(["application/x-npy"], outputs)


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("dimensions", [None, 8])
def test_bytes_npy_base64_and_json_hold_the_same_numbers(name: str, dimensions: int | None) -> None:
    kind = TYPES[name]  # type: ignore[index]
    question = EmbedRequest(["a", "b"], dimensions=dimensions, outputs=(Output(kind, limit=0.9),))
    [rows] = question.returned(VECTORS)
    body, headers = wire.raw(question, VECTORS, wire.BYTES)
    shape = tuple(map(int, headers["x-embedding-shape"].split(",")))
    assert headers["x-embedding-type"] == name
    assert shape == (2, kind.width(dimensions or 16))
    np.testing.assert_array_equal(np.frombuffer(body, headers["x-embedding-dtype"]).reshape(shape), rows)
    file, _ = wire.raw(question, VECTORS, wire.NPY)
    np.testing.assert_array_equal(np.load(io.BytesIO(file), allow_pickle=False), rows)
    written = wire.json_values(rows, Output(kind, base64=True))
    assert written == [wire.base64(row) for row in rows]
    assert wire.json_values(rows, Output(kind)) is rows


def test_the_scale_of_int8_is_told() -> None:
    assert wire.scale_header(FLOATS) == {}
    assert wire.scale_header((Output(), Output(TYPES["int8"], limit=0.254))) == {"x-embedding-scale": "0.002"}
