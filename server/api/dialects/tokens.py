"""`POST /tokenize`: the model's tokens, in Text Embeddings Inference's format."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, TypedDict

import msgspec
import orjson
from msgspec import Meta

from server.api.dialects.body import decode
from server.api.dialects.fields import AnyText, AnyTexts, PromptName
from server.api.operation import BODY_ERRORS, Operation, ref
from server.model.tokenization import Pieces
from server.service.embed_request import Asker

# Tokens serialized per chunk.
AT_ONCE = 4096

Place = Annotated[
    int | None, Meta(description="A character's place in the text, the prompt included; null for special tokens.")
]


class TokenizeBody(msgspec.Struct, forbid_unknown_fields=True):
    """Texts and options. `null` means that an option is left out."""

    inputs: AnyText | AnyTexts
    add_special_tokens: (
        Annotated[
            bool,
            Meta(
                description="`false` leaves out the special tokens around each text, which token ids need to be "
                "embedded. Left out: `true`."
            ),
        ]
        | None
    ) = None
    prompt_name: PromptName | None = None


class Token(TypedDict):
    """One token; characters from `start` up to `stop`, without it."""

    id: int
    text: str
    special: bool
    start: Place
    stop: Place


Tokens = list[list[Token]]


@dataclass(frozen=True, slots=True)
class TokenizeQuestion:
    """Texts with their prompts prepended, and whether to add special tokens."""

    texts: list[str]
    special: bool


def parse(payload: bytes, asker: Asker) -> TokenizeQuestion:
    """Read the body of a `/tokenize` request.

    Raises:
        MalformedError: not JSON, or not UTF-8.
        TooLargeError: more texts than one request may hold.
        InvalidError: JSON of another shape, or a value that cannot be served; the message names it and the limit.
    """
    body = decode(payload, TokenizeBody, '{"inputs": "..."}', asker.most_texts)
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    asker.check_size(texts, "inputs")
    prompt = asker.prompt(None, body.prompt_name)
    return TokenizeQuestion([prompt + text for text in texts], body.add_special_tokens is not False)


def render(split: Iterable[Pieces]) -> memoryview:
    """Serialize the tokens of each text in chunks: as objects they take many times the memory of their JSON."""
    answer = bytearray(b"[")
    for text, pieces in enumerate(split):
        answer += b",[" if text else b"["
        for start in range(0, len(pieces.ids), AT_ONCE):
            answer += b"," if start else b""
            answer += orjson.dumps(_tokens(pieces, slice(start, start + AT_ONCE)))[1:-1]
        answer += b"]"
    answer += b"]"
    return memoryview(answer)


def _tokens(pieces: Pieces, part: slice) -> list[Token]:
    columns = zip(pieces.ids[part], pieces.names[part], pieces.offsets[part], pieces.special[part], strict=True)
    return [
        {"id": id_, "text": name, "special": True, "start": None, "stop": None}
        if special
        else {"id": id_, "text": pieces.text[start:stop], "special": False, "start": start, "stop": stop}
        for id_, name, (start, stop), special in columns
    ]


OPERATION = Operation(
    path="/tokenize",
    id="tokenize",
    summary="Cut texts into the model's tokens",
    text="All of a text's tokens, also those that the model would not read.",
    body=TokenizeBody,
    examples=lambda _: {
        "a text": {"inputs": "Hello world"},
        "bare tokens": {"inputs": "Hi", "add_special_tokens": False},
    },
    answer=ref("Tokens"),
    types={"Tokens": Tokens},
    failures=BODY_ERRORS,
)
