"""JSON Schemas of request and response bodies, exact for a running server.

msgspec derives them from the types that decode the bodies. This module adds what types cannot express: the server's
limits, and combinations of fields that exclude each other. A body is valid by its schema if and only if the server
accepts it, except for texts whose token count exceeds the limit, which only the tokenizer can tell.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from server.api import routes
from server.api.error_answer import CohereError, FlatError, NestedError
from server.api.operation import COMPONENTS, Schema, ref
from server.errors import InvalidError
from server.model.manifest import Manifest
from server.model.output_types import COMPONENTS_PER_BYTE, OUTPUT_NAMES, TYPES
from server.model.tokenization import Tokenizer
from server.service.blank_text import PATTERN
from server.service.embed_request import DIRECTIONS, PROMPTS_OF, PROVIDERS, TRUNCATIONS, Asker
from server.service.loaded_model import LoadedModel
from server.service.output import ENCODINGS, read_encoding

ERRORS = {"FlatError": FlatError, "NestedError": NestedError, "CohereError": CohereError}
# Keywords kept beside a reference.
ANNOTATIONS = frozenset({"$ref", "description"})


def components(loaded: LoadedModel) -> dict[str, Schema]:
    """Return all schemas by name."""
    types = _types()
    made, shapes = msgspec.json.schema_components(types.values(), ref_template=COMPONENTS + "{name}")
    shapes |= {name: schema for name, schema in zip(types, made, strict=True) if name not in shapes}
    contradictions = _contradictions(Asker(loaded.settings, loaded.artifact.manifest))
    for shape in shapes.values():
        fields = shape.get("properties", {})
        applicable = (rule for pair, refused in contradictions if pair <= fields.keys() for rule in refused)
        if rules := [rule for rule in applicable if _can_break(rule, fields)]:
            shape["allOf"] = rules
    for operation, _ in routes.ROUTES:
        if operation.body and operation.one_of:
            shapes[operation.body.__name__]["oneOf"] = [{"required": [key]} for key in operation.one_of]
    return {name: _tidy(_own_first(shape, types.get(name))) for name, shape in shapes.items()} | _limited(loaded)


def _can_break(rule: Schema, fields: Mapping[str, Schema]) -> bool:
    """Return whether the fields' own words include those that `rule` forbids; words by reference count as included."""
    for name, forbidden in rule["not"]["properties"].items():
        words = [choice["enum"] for choice in fields[name].get("anyOf", ()) if "enum" in choice]
        if words and "enum" in forbidden and not set(words[0]) & set(forbidden["enum"]):
            return False
    return True


def _own_first(shape: Schema, kind: Any) -> Schema:  # noqa: ANN401 - a type or an alias
    """Put the fields of a dialect before those that it shares with others."""
    own = {name: place for place, name in enumerate(getattr(kind, "__annotations__", ()))}
    fields = dict(sorted(shape.get("properties", {}).items(), key=lambda field: own.get(field[0], len(own))))
    return shape | {"properties": fields} if fields else shape


def _types() -> dict[str, Any]:
    """Return the types of all named schemas: classes first, then type aliases."""
    operations = [operation for operation, _ in routes.ROUTES]
    bodies = {operation.body.__name__: operation.body for operation in operations if operation.body}
    answers = {name: kind for operation in operations for name, kind in operation.types.items()}
    types = bodies | answers | ERRORS
    return dict(sorted(types.items(), key=lambda named: not isinstance(named[1], type)))


def _limited(loaded: LoadedModel) -> dict[str, Schema]:
    settings, manifest = loaded.settings, loaded.artifact.manifest
    count, length = settings.max_client_batch_size, settings.max_text_chars
    anything = {"type": "string", "maxLength": length}
    return {
        "AnyText": anything | {"description": "A text, which may be empty."},
        "AnyTexts": _list_of("AnyText", count),
        "Text": anything | {"pattern": PATTERN, "description": "A text with at least one visible character."},
        "Texts": _list_of("Text", count),
        "Sentences": _list_of("Text", count - 1),
        "TokenIds": _token_ids(loaded.tokenizer, length),
        "TokenIdLists": _list_of("TokenIds", count),
        "Inputs": {
            "description": "A text or many, or token ids of this model (see /tokenize), one text's or many.",
            "anyOf": [ref(name) for name in ("Text", "Texts", "TokenIds", "TokenIdLists")],
        },
        "PromptName": _prompt_name(manifest.prompts),
        "Normalize": {
            "description": "`false` leaves a vector cut by `dimensions` as it is. Whole vectors always have unit "
            "length. Left out: `true`.",
            **({"type": "boolean"} if manifest.source_normalizes else {"const": True}),
        },
        "Dimensions": {
            "description": "Keep that many components and normalize again. Left out: all.",
            "type": "integer",
            "minimum": 1,
            "maximum": manifest.dimension,
        },
        "MaxTokens": {
            "description": "Tokens that are read of a text, special tokens and prompt included; the rest is truncated. "
            f"Left out, or above the model's limit: {manifest.max_tokens}.",
            "type": "integer",
            "minimum": len(loaded.tokenizer.prefix) + len(loaded.tokenizer.suffix) + 1,
        },
        **_encodings(manifest),
        "ModelName": {
            "description": "The model that is served, by its name, its id or an alias (MODEL_ALIASES), also after a "
            "provider's name, as in `openai/NAME`. Another is refused, not replaced.",
            "anyOf": _model_names(Asker(settings, manifest).names),
        },
        "Vector": {
            "description": "A text's vector, of unit length; or its codes, if a type of fewer bits is asked for.",
            "type": "array",
            "items": {"type": "number"},
            "minItems": 1,
            "maxItems": manifest.dimension,
        },
    }


def _model_names(names: Sequence[str]) -> list[Schema]:
    escaped = "|".join(re.sub(r"([^A-Za-z0-9_:@-])", r"\\\1", name) for name in names)
    prefixed = f"^({'|'.join(PROVIDERS)})/({escaped})$"
    return [{"type": "string", "enum": list(names)}, {"type": "string", "pattern": prefixed}]


def _list_of(name: str, limit: int) -> Schema:
    return {"type": "array", "items": ref(name), "minItems": 1, "maxItems": limit}


def _token_ids(tokenizer: Tokenizer, limit: int) -> Schema:
    prefix, suffix = tokenizer.prefix, tokenizer.suffix
    return {
        "description": "Token ids as this model's tokenizer makes them. The special tokens at the start are asked for, "
        "since ids of another tokenizer would give a vector that means nothing; those at the end may be left out.",
        "type": "array",
        **({"prefixItems": [{"const": id_} for id_ in prefix]} if prefix else {}),
        "items": {"type": "integer", "minimum": 0, "maximum": tokenizer.vocabulary_size - 1},
        "minItems": len(prefix) + len(suffix) + 1,
        "maxItems": limit,
    }


def _encodings(manifest: Manifest) -> dict[str, Schema]:
    """Return the schemas of the options that name the type of the vectors."""
    lacking = {kind.name for kind in TYPES.values() if kind.scaled and manifest.int8_range(1) is None}

    def one_of(names: Iterable[str], description: str) -> Schema:
        return {
            "description": description,
            "type": "string",
            "enum": [name for name in names if name not in lacking],
        }

    return {
        "EncodingFormat": one_of(
            ENCODINGS,
            "`float` writes vectors as JSON numbers, `base64` as their little-endian bytes in base64. Another word is "
            "the type, as in `output_dtype`. Left out: `float`. The header `Accept: application/octet-stream` or "
            "`application/x-npy` asks for the bytes themselves.",
        ),
        "OutputDtype": one_of(
            OUTPUT_NAMES,
            "The type of the components. `int8` is a component times 127 / range, rounded (the header "
            "x-embedding-scale is range / 127), `uint8` is that + 128; `ubinary` holds the signs of eight components "
            "in a byte, `binary` is that - 128. Left out: `float`, which is float32.",
        ),
        "EmbeddingType": one_of(ENCODINGS, "The same as `output_dtype`, or `base64`, as Jina names them."),
    }


def _prompt_name(prompts: Mapping[str, str]) -> Schema:
    if not prompts:
        return {"description": "This model has no prompts.", "not": {}}
    return {"description": "One of the model's prompts, by name.", "type": "string", "enum": sorted(prompts)}


def _contradictions(asker: Asker) -> list[tuple[set[str], list[Schema]]]:
    """Return pairs of fields that can conflict, with the schemas that forbid it."""
    sides = [key for key in TRUNCATIONS if isinstance(key, str)]
    ends = ("truncate", sides), ("truncation_direction", list(DIRECTIONS))
    prompts = ("input_type", list(PROMPTS_OF)), ("prompt_name", sorted(asker.manifest.prompts))
    return [
        ({"truncate", "truncation_direction"}, _exclude(*ends, asker.truncation)),
        ({"input_type", "prompt_name"}, _exclude(*prompts, asker.prompt)),
        *_encoding_contradictions(asker.manifest.dimension),
    ]


def _encoding_contradictions(dimension: int) -> list[tuple[set[str], list[Schema]]]:
    encoding, kind = ("encoding_format", list(ENCODINGS)), ("output_dtype", list(OUTPUT_NAMES))
    other = "embedding_type", list(ENCODINGS)
    return [
        ({"encoding_format", "output_dtype"}, _exclude(encoding, kind, read_encoding)),
        ({"encoding_format", "embedding_type"}, _exclude(encoding, other, lambda e, t: read_encoding(e, None, t))),
        ({"output_dtype", "embedding_type"}, _exclude(kind, other, lambda o, t: read_encoding(None, o, t))),
        *(
            ({field, "dimensions"}, [_unpackable(field, "dimensions", dimension)])
            for field, _ in (encoding, kind, other)
        ),
        (
            {"embedding_types", "output_dimension"},
            [_unpackable("embedding_types", "output_dimension", dimension, many=True)],
        ),
    ]


def _unpackable(field: str, kept: str, dimension: int, *, many: bool = False) -> Schema:
    """Return a schema that forbids packed types of vectors whose components do not fill whole bytes.

    `field` names the type, or a list of types if `many`; `kept` the number of components.
    """
    packed: Schema = {"enum": [kind.name for kind in TYPES.values() if kind.packed]}
    if many:
        packed = {"type": "array", "contains": packed}
    uneven: Schema = {"not": {"type": "integer", "multipleOf": COMPONENTS_PER_BYTE}}
    if dimension % COMPONENTS_PER_BYTE == 0:
        # Left out, it is the model's.
        return {"not": {"properties": {field: packed, kept: {"type": "integer"} | uneven}, "required": [field, kept]}}
    return {"not": {"properties": {field: packed, kept: uneven}, "required": [field]}}


def _exclude(
    first: tuple[str, Sequence[str]], second: tuple[str, Sequence[str]], check: Callable[[str, str], object]
) -> list[Schema]:
    """Return schemas that forbid the pairs of values refused by `check`."""
    (name, values), (other, others) = first, second
    by_refused: dict[tuple[str, ...], list[str]] = {}
    for value in values:
        refused = tuple(_refused(others, value, check))
        by_refused.setdefault(refused, []).append(value)
    return [
        {"not": {"properties": {name: {"enum": kept}, other: {"enum": list(refused)}}, "required": [name, other]}}
        for refused, kept in by_refused.items()
        if refused
    ]


def _refused(others: Iterable[str], value: str, check: Callable[[str, str], object]) -> Iterable[str]:
    for other in others:
        try:
            check(value, other)
        except InvalidError:
            yield other


def _tidy(schema: Any) -> Any:  # noqa: ANN401 - any JSON
    """Drop keywords beside references that repeat their target, and defaults of null, which only mean `left out`."""
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {key: value for key, value in schema.items() if key in ANNOTATIONS}
    return {key: _tidy(value) for key, value in schema.items() if not (key == "default" and value is None)}
