"""Fields that clients add to a dialect's own: ignored where no value changes a vector, otherwise refused.

The two tables alone decide; the schemas, `/docs` and docs/clients.md show them. A field in neither is refused as
unknown.
"""

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from server.errors import InvalidError


class Refused(NamedTuple):
    """Why a field is refused, the accepted field nearest to it, and values that ask for what the server does anyway."""

    reason: str
    nearest: str = ""
    harmless: tuple[bool | str, ...] = ()


# Their meaning, for the documents.
IGNORED: dict[str, str] = {
    "user": "Who asks, for the provider's abuse detection.",
    "safety_identifier": "Who asks, by the newer of OpenAI's names.",
    "metadata": "Notes on the request, as gateways add them.",
    "seed": "The seed of a sampler, of which an embedding has none.",
    "stream": "Whether to stream the answer, which has one part.",
    "stream_options": "Options of a streamed answer.",
    "store": "Whether the provider may keep the request; nothing is kept here.",
    "service_tier": "The provider's price class.",
    "priority": "vLLM's order of requests; queueing is fair here.",
    "request_id": "vLLM's request id; here it is the header x-request-id.",
    "cache_salt": "vLLM's protection of its prefix cache, of which there is none.",
    "keep_alive": "How long Ollama keeps the model loaded; here it always is.",
}
REFUSED: dict[str, Refused] = {
    "add_special_tokens": Refused("without its special tokens a text has another vector", harmless=(True,)),
    "truncate_prompt_tokens": Refused("a text cut at another length has another vector", "truncate"),
    "truncation": Refused("a text that is cut has another vector", "truncate"),
    "max_length": Refused("a text cut at another length has another vector", "truncate"),
    "max_tokens": Refused("a text cut at another length has another vector", "truncate"),
    "options": Refused("Ollama's options include the length at which a text is cut", "truncate"),
    "task": Refused("a task may select another prompt or adapter", "input_type"),
    "instruction": Refused("a prompt before the text changes its vector", "prompt_name"),
    "prompt": Refused("a prompt before the text changes its vector", "prompt_name"),
    "prefix": Refused("a prefix before the text changes its vector", "prompt_name"),
    "normalize": Refused("vectors have unit length", "dimensions", (True,)),
    "normalized": Refused("vectors have unit length", "dimensions", (True,)),
    "late_chunking": Refused("it computes each text's vector from all texts", "", (False,)),
    "pooling": Refused("the model's pooling is part of its vectors"),
    "modality": Refused("only texts are embedded", "", ("text",)),
    "truncate_dim": Refused("fewer components are another vector", "dimensions"),
}


def _rows() -> list[tuple[str, Any, None]]:
    ignored = {name: Meta(description=f"Ignored. {meaning}") for name, meaning in IGNORED.items()}
    refused = {name: _refused(row) for name, row in REFUSED.items()}
    return [(name, Annotated[Any, meta], None) for name, meta in (ignored | refused).items()]


def _refused(row: Refused) -> Meta:
    said = f"Refused, because {row.reason}{f'; see `{row.nearest}`' if row.nearest else ''}."
    return Meta(description=said, extra_json_schema={"enum": [*row.harmless, None]})


if TYPE_CHECKING:

    class ExtraFields(msgspec.Struct, kw_only=True):
        """A body with a field for each row of the tables."""

else:
    ExtraFields = msgspec.defstruct("ExtraFields", _rows(), kw_only=True, module=__name__)


def ignored_fields(body: ExtraFields) -> tuple[str, ...]:
    """Return the names of the fields of `body` that are ignored; `null` means that a field is left out.

    A field that the dialect defines itself is not looked at.

    Raises:
        InvalidError: a field is refused; the message says why, and names the nearest accepted one.
    """
    own = type(body).__annotations__
    for name, row in REFUSED.items():
        if name not in own and not _is_harmless(getattr(body, name), row):
            raise InvalidError(_refusal(name, row), param=name)
    return tuple(name for name in IGNORED if name not in own and getattr(body, name) is not None)


def _is_harmless(value: object, row: Refused) -> bool:
    # By type as well: 1 equals True.
    return value is None or any(type(value) is type(harmless) and value == harmless for harmless in row.harmless)


def _refusal(name: str, row: Refused) -> str:
    allowed = "".join(f"; {msgspec.json.encode(value).decode()} is accepted" for value in row.harmless)
    nearest = f"; the nearest field that is taken is {row.nearest}" if row.nearest else ""
    return f"{name} is refused: {row.reason}{allowed}{nearest}"
