"""`POST /embed`: three shapes under one route; the answer's shape follows the question's key."""

from dataclasses import dataclass
from typing import Literal

import msgspec
import orjson
from msgspec import UNSET, UnsetType

from server.engine import Vectors
from server.errors import InvalidError
from server.question import Asker, Question, cut
from server.wire.body import decode

Texts = str | list[str]
Shape = Literal["embedding", "embeddings", "rows"]


class EmbedBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body as sent; null means the same as leaving an option out."""

    text: Texts | UnsetType = UNSET
    texts: list[str] | UnsetType = UNSET
    inputs: Texts | UnsetType = UNSET
    input_type: str | None = None
    prompt_name: str | None = None
    truncate: bool | str | None = None
    truncation_direction: str | None = None
    normalize: bool | None = None
    dimensions: int | None = None


@dataclass(frozen=True, slots=True)
class EmbedQuestion:
    """What to embed, and what the answer looks like."""

    question: Question
    shape: Shape


def parse(raw: bytes, asker: Asker) -> EmbedQuestion:
    """Read the body of an `/embed` request.

    Raises:
        MalformedError: not JSON, or not UTF-8.
        TooLargeError: more texts than one request may hold.
        InvalidError: JSON of another shape, or a value that cannot be served; the message names it and the limit.
    """
    body = decode(raw, EmbedBody, '{"text": "..."}')
    key, value = _texts_of(body)
    question = Question(
        inputs=asker.inputs([value] if isinstance(value, str) else value, key),
        prompt=asker.prompt(body.input_type, body.prompt_name),
        truncate=asker.truncation(body.truncate, body.truncation_direction),
        normalize=asker.normalize(body.normalize),
        dimensions=asker.dimensions(body.dimensions),
    )
    plain: Shape = "embedding" if isinstance(value, str) else "embeddings"
    return EmbedQuestion(question, "rows" if key == "inputs" else plain)


def render(asked: EmbedQuestion, vectors: Vectors) -> bytes:
    """Write the answer from the vectors, [texts, dimension]."""
    rows = cut(vectors, asked.question.dimensions, asked.question.normalize)
    answer: object = rows
    if asked.shape == "embedding":
        answer = {"embedding": rows[0]}
    elif asked.shape == "embeddings":
        answer = {"embeddings": rows}
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def _texts_of(body: EmbedBody) -> tuple[str, Texts]:
    given = [
        (key, value) for key in ("text", "texts", "inputs") if not isinstance(value := getattr(body, key), UnsetType)
    ]
    if len(given) != 1:
        found = f"got {' and '.join(key for key, _ in given)}" if given else "got none of them"
        raise InvalidError(f"send exactly one of text, texts, inputs; {found}")
    return given[0]
