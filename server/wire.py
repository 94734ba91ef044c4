"""The JSON of `POST /embed`: bytes to a checked question, vectors to bytes. Pure, without HTTP."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
import orjson
from msgspec import UNSET, UnsetType

from server.engine import Vectors
from server.errors import InvalidError, MalformedError, TooLargeError
from server.manifest import Manifest
from server.settings import Settings
from server.tokenization import Truncation

# Which of a model's prompts an input type asks for; the first that the model has.
PROMPTS_OF: dict[str, tuple[str, ...]] = {
    "query": ("query",),
    "search_query": ("query",),
    "document": ("document", "passage"),
    "passage": ("document", "passage"),
    "search_document": ("document", "passage"),
}

TRUNCATIONS: dict[str | bool, Truncation] = {"END": "END", "START": "START", "NONE": "NONE", False: "NONE"}
DIRECTIONS: dict[str, Truncation] = {"Right": "END", "Left": "START"}

HIGH, LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
LONE_SURROGATE = re.compile(rb"%b(?!%b)|(?<!%b)%b" % (HIGH, LOW, HIGH, LOW))

Texts = str | list[str]


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
class Question:
    """A checked request: what to embed and what the answer looks like."""

    texts: list[str]
    shape: Literal["embedding", "embeddings", "rows"]
    prompt: str
    truncate: Truncation
    normalize: bool
    dimensions: int | None


def parse(raw: bytes, settings: Settings, manifest: Manifest) -> Question:
    """Read the body of an `/embed` request.

    Raises:
        MalformedError: not JSON, or not UTF-8.
        TooLargeError: more texts than one request may hold.
        InvalidError: JSON of another shape, or a value that cannot be served; the message names it and the limit.
    """
    body = _decode(raw)
    key, value = _texts_of(body)
    texts = [value] if isinstance(value, str) else value
    _check_texts(texts, key, settings)
    rows: Literal["embedding", "embeddings"] = "embedding" if isinstance(value, str) else "embeddings"
    return Question(
        texts=texts,
        shape="rows" if key == "inputs" else rows,
        prompt=_prompt(body, manifest.prompts),
        truncate=_truncation(body, settings.auto_truncate),
        normalize=_normalize(body, manifest),
        dimensions=_dimensions(body, manifest),
    )


def render(question: Question, vectors: Vectors) -> bytes:
    """Write the answer to `question` from its vectors, [texts, dimension]."""
    rows = cut(vectors, question.dimensions, question.normalize)
    answer: object = rows
    if question.shape == "embedding":
        answer = {"embedding": rows[0]}
    elif question.shape == "embeddings":
        answer = {"embeddings": rows}
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def cut(vectors: Vectors, dimensions: int | None, normalize: bool) -> Vectors:
    """Keep the first `dimensions` components (None: all) and bring them back to unit length if `normalize`."""
    if dimensions is None or dimensions == vectors.shape[1]:
        return vectors
    rows = np.ascontiguousarray(vectors[:, :dimensions])
    if not normalize:
        return rows
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    norms[norms == 0] = 1
    unit: Vectors = (rows / norms).astype(np.float32, copy=False)
    return unit


def _decode(raw: bytes) -> EmbedBody:
    if not raw.strip():
        raise MalformedError('the body is empty; send JSON such as {"text": "..."}')
    if raw.startswith(b"\xef\xbb\xbf"):
        raise MalformedError("the body starts with a byte order mark; send UTF-8 without one")
    try:
        return msgspec.json.decode(raw, type=EmbedBody)
    except msgspec.ValidationError as error:
        raise InvalidError(_first_lower(str(error))) from None
    except UnicodeDecodeError:
        raise MalformedError("the body is not valid UTF-8") from None
    except msgspec.DecodeError as error:
        # Of a string that ends in one, msgspec says that the input was truncated.
        if lone := LONE_SURROGATE.search(raw):
            raise InvalidError(f"lone surrogate escape at byte {lone.start()}: not valid Unicode") from None
        raise MalformedError(
            f"malformed JSON: {_first_lower(str(error).removeprefix('JSON is malformed: '))}"
        ) from None
    except RecursionError:
        raise MalformedError("malformed JSON: nested too deep") from None


def _texts_of(body: EmbedBody) -> tuple[str, Texts]:
    given = [
        (key, value) for key in ("text", "texts", "inputs") if not isinstance(value := getattr(body, key), UnsetType)
    ]
    if len(given) != 1:
        found = f"got {' and '.join(key for key, _ in given)}" if given else "got none of them"
        raise InvalidError(f"send exactly one of text, texts, inputs; {found}")
    return given[0]


def _check_texts(texts: list[str], key: str, settings: Settings) -> None:
    if not texts:
        raise InvalidError(f"{key} is an empty list; send at least one text")
    if len(texts) > settings.max_client_batch_size:
        raise TooLargeError(f"{len(texts)} texts, the limit is {settings.max_client_batch_size}; send them in parts")
    for index, text in enumerate(texts):
        if len(text) > settings.max_text_chars:
            raise InvalidError(
                f"the text at index {index} has {len(text)} characters, the limit is {settings.max_text_chars}"
            )


def _prompt(body: EmbedBody, prompts: Mapping[str, str]) -> str:
    """Return the prompt asked for by name or by input type.

    A type whose prompt the model does not have adds nothing: most models have one for queries only.
    """
    by_type = _prompt_of_type(body.input_type, prompts) if body.input_type else ""
    if body.prompt_name is None:
        return by_type
    if body.prompt_name not in prompts:
        known = ", ".join(sorted(prompts)) or "none"
        raise InvalidError(f"prompt_name is not one of this model's prompts; it has: {known}")
    by_name = prompts[body.prompt_name]
    if body.input_type and by_type != by_name:
        raise InvalidError("input_type and prompt_name ask for different prompts; send one of them")
    return by_name


def _prompt_of_type(input_type: str, prompts: Mapping[str, str]) -> str:
    if input_type not in PROMPTS_OF:
        raise InvalidError(f"input_type must be one of {', '.join(PROMPTS_OF)}")
    return next((prompts[name] for name in PROMPTS_OF[input_type] if name in prompts), "")


def _truncation(body: EmbedBody, auto_truncate: bool) -> Truncation:
    asked = auto_truncate if body.truncate is None else body.truncate
    side = None if body.truncation_direction is None else _side(body.truncation_direction)
    if asked is True:
        return side or "END"
    if asked not in TRUNCATIONS:
        raise InvalidError('truncate must be true, false, "NONE", "START" or "END"')
    chosen = TRUNCATIONS[asked]
    if side and chosen not in {side, "NONE"}:
        raise InvalidError("truncate and truncation_direction contradict each other; send one of them")
    return chosen


def _side(direction: str) -> Truncation:
    if direction not in DIRECTIONS:
        raise InvalidError(f"truncation_direction must be one of {', '.join(DIRECTIONS)}")
    return DIRECTIONS[direction]


def _normalize(body: EmbedBody, manifest: Manifest) -> bool:
    """Return whether a cut vector is normalised again; the graph itself always normalises."""
    if body.normalize is False and not manifest.source_normalizes:
        raise InvalidError(f"normalize: false is not available: {manifest.name} is built to return unit vectors only")
    return body.normalize is not False


def _dimensions(body: EmbedBody, manifest: Manifest) -> int | None:
    if body.dimensions is not None and not 1 <= body.dimensions <= manifest.dimension:
        raise InvalidError(f"dimensions must be from 1 to {manifest.dimension}")
    return body.dimensions


def _first_lower(message: str) -> str:
    return message[:1].lower() + message[1:]
