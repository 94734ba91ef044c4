"""Embedding requests, independent of the dialect, and the validation that all routes share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.errors import InvalidError, TooLargeError, UnknownModelError
from server.inference.engine import Vectors
from server.model.manifest import Manifest
from server.model.output_types import OutputName, convert
from server.model.tokenization import PARAM, Inputs, Truncation, nothing_to_embed
from server.service.blank_text import has_visible
from server.service.output import Output, find_output, read_encoding
from server.settings import Settings

# Names of the prompts to use for each input type; the first that the model has is used.
PROMPTS_OF: dict[str, tuple[str, ...]] = {
    "query": ("query",),
    "search_query": ("query",),
    "document": ("document", "passage"),
    "passage": ("document", "passage"),
    "search_document": ("document", "passage"),
    "classification": ("classification",),
    "clustering": ("clustering",),
}

TRUNCATIONS: dict[str | bool, Truncation] = {"END": "END", "START": "START", "NONE": "NONE", False: "NONE"}
DIRECTIONS: dict[str, Truncation] = {"Right": "END", "right": "END", "Left": "START", "left": "START"}

# What LiteLLM and clients built on it put before the name of a model of an OpenAI-compatible server. Not any prefix:
# `org/NAME` is another organisation's model.
PROVIDERS = ("openai", "openai_like", "custom_openai", "hosted_vllm", "infinity", "huggingface", "litellm_proxy")


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """A validated request: texts or token ids, tokenization options, and the part and forms of each vector to return.

    `outputs` is empty if the answer contains no vectors. `max_tokens` truncates texts below the model's limit, special
    tokens included; `kept_bytes` is memory that the dialect holds until the answer is rendered.
    `ignored` names the fields of the request's body that make no difference.
    """

    inputs: Inputs
    prompt: str = ""
    truncate: Truncation = "END"
    normalize: bool = True
    dimensions: int | None = None
    ignored: tuple[str, ...] = ()
    outputs: tuple[Output, ...] = (Output(),)
    max_tokens: int | None = None
    kept_bytes: int = 0

    @property
    def characters(self) -> int:
        """Number of characters to tokenize, 0 for token ids."""
        return sum(len(text) for text in self.inputs if isinstance(text, str))

    def returned(self, vectors: Vectors) -> list[NDArray[Any]]:
        """Return the vectors [texts, dimension] cut and converted, once for each of `outputs`."""
        rows = cut(vectors, self.dimensions, self.normalize)
        return [convert(rows, output.kind, output.limit) for output in self.outputs]


class Asker:
    """Validates the parts of requests against the server's limits and the served model."""

    def __init__(self, settings: Settings, manifest: Manifest) -> None:
        self.settings = settings
        self.manifest = manifest
        self.most_texts = settings.max_client_batch_size
        # All names of the model: in the manifest, at its source, and in MODEL.
        own = manifest.name, manifest.source.id, settings.model
        self.names = tuple(dict.fromkeys((*own, *settings.model_aliases)))

    def inputs(self, inputs: Inputs, key: str) -> Inputs:
        """Check that texts or token ids can be embedded, and return them; `key` names them in errors.

        Raises:
            TooLargeError: there are more than MAX_CLIENT_BATCH_SIZE.
            InvalidError: there are none, or one is blank or longer than MAX_TEXT_CHARS.
        """
        self.check_size(inputs, key)
        entries: Sequence[str | list[int]] = inputs
        for index, text in enumerate(entries):
            if isinstance(text, str) and not has_visible(text):
                raise nothing_to_embed(index)
        return inputs

    def check_size(self, inputs: Inputs, key: str) -> None:
        """Check the number of `inputs` and their lengths; `key` names them in errors.

        Raises:
            TooLargeError: there are more than MAX_CLIENT_BATCH_SIZE.
            InvalidError: there are none, or one is longer than MAX_TEXT_CHARS.
        """
        if not inputs:
            raise InvalidError(f"{key} is an empty list; send at least one text", param=PARAM)
        limit = self.settings.max_client_batch_size
        if len(inputs) > limit:
            raise TooLargeError(f"{len(inputs)} texts, the limit is {limit}; send them in parts", param=PARAM)
        entries: Sequence[str | list[int]] = inputs
        for index, text in enumerate(entries):
            self._check_length(index, text)

    def check_model(self, name: str) -> None:
        """Check that `name` is the served model, which a gateway may prefix with a provider, as in `openai/NAME`.

        Raises:
            UnknownModelError: it is another model, which is never substituted by the served one.
        """
        prefix, _, rest = name.partition("/")
        if name not in self.names and not (prefix in PROVIDERS and rest in self.names):
            raise UnknownModelError(
                f"the model asked for is not served here; this server has {' alias '.join(self.names)}"
            )

    def prompt(self, input_type: str | None, prompt_name: str | None) -> str:
        """Return the prompt selected by name or by input type, or the model's default prompt if neither is given.

        It is empty if the model has no prompt for the type: most models have one for queries only.

        Raises:
            InvalidError: the name or type is unknown, or they select different prompts.
        """
        prompts = self.manifest.prompts
        if input_type is None and prompt_name is None:
            return self.manifest.default_prompt
        by_type = "" if input_type is None else _prompt_of_type(input_type, prompts)
        if prompt_name is None:
            return by_type
        if prompt_name not in prompts:
            known = ", ".join(sorted(prompts)) or "none"
            raise InvalidError(f"prompt_name is not one of this model's prompts; it has: {known}", param="prompt_name")
        by_name = prompts[prompt_name]
        if input_type is not None and by_type != by_name:
            raise InvalidError(
                "input_type and prompt_name ask for different prompts; send one of them", param="prompt_name"
            )
        return by_name

    def truncation(self, truncate: bool | str | None, direction: str | None) -> Truncation:
        """Return which end of a long text to truncate, from `truncate` and Text Embeddings Inference's `direction`.

        Raises:
            InvalidError: a value is unknown, or the two contradict each other.
        """
        asked = self.settings.auto_truncate if truncate is None else truncate
        side = None if direction is None else _side(direction)
        if asked is True:
            return side or "END"
        if asked not in TRUNCATIONS:
            raise InvalidError('truncate must be true, false, "NONE", "START" or "END"', param="truncate")
        chosen = TRUNCATIONS[asked]
        if side and chosen not in {side, "NONE"}:
            raise InvalidError("truncate and truncation_direction contradict each other; send one of them")
        return chosen

    def normalize(self, asked: bool | None) -> bool:
        """Return whether to renormalise vectors after cutting them; the graph always normalises whole ones.

        Raises:
            InvalidError: `asked` is False, and the source model does not normalise its vectors.
        """
        if asked is False and not self.manifest.source_normalizes:
            raise InvalidError(
                f"normalize: false is not available: {self.manifest.name} is built to return unit vectors only"
            )
        return asked is not False

    def dimensions(self, asked: int | None, field: str = "dimensions") -> int | None:
        """Check the number of components to keep, None for all, and return it; `field` names it in errors.

        Raises:
            InvalidError: it is less than 1 or exceeds the model's dimension.
        """
        if asked is not None and not 1 <= asked <= self.manifest.dimension:
            raise InvalidError(f"{field} must be from 1 to {self.manifest.dimension}", param=field)
        return asked

    def encoding(
        self,
        dimensions: int | None,
        normalize: bool | None = None,
        encoding_format: str | None = None,
        output_dtype: str | None = None,
        embedding_type: str | None = None,
    ) -> tuple[Output]:
        """Return the one form of the vectors that a request's options name.

        Raises:
            InvalidError: an option is unknown, they contradict each other, or the vectors cannot be of that type.
        """
        kind, base64 = read_encoding(encoding_format, output_dtype, embedding_type)
        field = "output_dtype" if output_dtype else "encoding_format" if encoding_format == kind else "embedding_type"
        return (self.output(kind, base64, field, dimensions, normalize),)

    def output(
        self, kind: OutputName, base64: bool, field: str, dimensions: int | None, normalize: bool | None = None
    ) -> Output:
        """Return the form of type `kind`, which the option `field` names, for vectors cut to `dimensions`.

        Raises:
            InvalidError: the vectors cannot be of that type.
        """
        whole = self.manifest.dimension
        kept = dimensions or whole
        # Components that are cut but not rescaled stay within the range of whole vectors.
        limit = self.manifest.int8_range(whole if normalize is False else kept)
        return find_output(kind, base64, kept, limit, field)

    def _check_length(self, index: int, text: str | list[int]) -> None:
        limit = self.settings.max_text_chars
        if len(text) > limit:
            unit = "characters" if isinstance(text, str) else "token ids"
            raise InvalidError(f"the text at index {index} has {len(text)} {unit}, the limit is {limit}", param=PARAM)


def cut(vectors: Vectors, dimensions: int | None, normalize: bool) -> Vectors:
    """Cut vectors to their first `dimensions` components (None: all), rescaled to unit length if `normalize`."""
    if dimensions is None or dimensions == vectors.shape[1]:
        return vectors
    rows = np.ascontiguousarray(vectors[:, :dimensions])
    if not normalize:
        return rows
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    norms[norms == 0] = 1
    unit: Vectors = (rows / norms).astype(np.float32, copy=False)
    return unit


def _prompt_of_type(input_type: str, prompts: Mapping[str, str]) -> str:
    if input_type not in PROMPTS_OF:
        raise InvalidError(f"input_type must be one of {', '.join(PROMPTS_OF)}", param="input_type")
    return next((prompts[name] for name in PROMPTS_OF[input_type] if name in prompts), "")


def _side(direction: str) -> Truncation:
    if direction not in DIRECTIONS:
        raise InvalidError(f"truncation_direction must be one of {', '.join(DIRECTIONS)}")
    return DIRECTIONS[direction]
