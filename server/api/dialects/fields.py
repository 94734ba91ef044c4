"""Field types shared by several routes, with their descriptions for the OpenAPI document.

Limits of the running server (texts per request, the model's prompts, its dimension) are not known here. A limited field
refers to the schema of that name, which `server.api.schemas` generates at start.
"""

from typing import Annotated, cast

from msgspec import Meta

from server.api.operation import ref
from server.errors import InvalidError
from server.model.tokenization import PARAM, Inputs
from server.service.embed_request import DIRECTIONS, PROMPTS_OF, TRUNCATIONS


def _limited(name: str) -> Meta:
    return Meta(extra_json_schema=ref(name))


Text = Annotated[str, _limited("Text")]
Texts = Annotated[list[Text], _limited("Texts")]
AnyText = Annotated[str, _limited("AnyText")]
AnyTexts = Annotated[list[AnyText], _limited("AnyTexts")]
Sentences = Annotated[list[Text], _limited("Sentences")]
# Texts or token ids, one or many; `as_inputs` checks that they are not mixed, which the type does not express.
OneOrMany = Annotated[str | list[str | int | list[int]], _limited("Inputs")]

InputType = Annotated[
    str,
    Meta(
        description="Whether the texts are queries or documents: puts the model's prompt for it before each text, "
        "where the model has one.",
        extra_json_schema={"enum": list(PROMPTS_OF)},
    ),
]
PromptName = Annotated[str, _limited("PromptName")]
Truncate = Annotated[
    bool
    | Annotated[str, Meta(extra_json_schema={"enum": [key for key in TRUNCATIONS if isinstance(key, str)]})]
    | None,
    Meta(
        description="What happens to a text longer than the model reads: `true` or `END` cuts its end, `START` its "
        "beginning, `false` or `NONE` refuses it with its index, its tokens and the limit. Left out: as the server "
        "is set (AUTO_TRUNCATE). Cut texts are counted in the answer's header x-truncated-inputs."
    ),
]
TruncationDirection = Annotated[
    str,
    Meta(
        description="The end that is cut, as Text Embeddings Inference names it.",
        extra_json_schema={"enum": list(DIRECTIONS)},
    ),
]
Normalize = Annotated[bool, _limited("Normalize")]
Dimensions = Annotated[int, _limited("Dimensions")]
EncodingFormat = Annotated[str, _limited("EncodingFormat")]
OutputDtype = Annotated[str, _limited("OutputDtype")]
EmbeddingType = Annotated[str, _limited("EmbeddingType")]
MaxTokens = Annotated[int, _limited("MaxTokens")]
ModelName = Annotated[str, _limited("ModelName")]
Vector = Annotated[list[float], _limited("Vector")]
Space = Annotated[str, Meta(description="The id of the vectors' embedding space.")]
Base64 = Annotated[
    str, Meta(description="The vector's components in base64: little-endian float32, or the type that was asked for.")
]


def as_inputs(given: str | list[str | int | list[int]], key: str) -> Inputs:
    """Normalize the value of `key` to a list of texts or a list of token id lists.

    Raises:
        InvalidError: it mixes texts and token ids.
    """
    if isinstance(given, str):
        return [given]
    kinds = set(map(type, given))
    if kinds == {int}:
        return [cast("list[int]", given)]
    if len(kinds) > 1:
        raise InvalidError(f"{key} mixes texts and token ids; send either", param=PARAM)
    return cast("Inputs", given)
