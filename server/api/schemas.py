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
from server.api.error_answer import FlatError, NestedError
from server.api.operation import COMPONENTS, Schema, ref
from server.errors import InvalidError
from server.model.tokenization import Tokenizer
from server.service.blank_text import PATTERN
from server.service.embed_request import DIRECTIONS, PROMPTS_OF, PROVIDERS, TRUNCATIONS, Asker
from server.service.loaded_model import LoadedModel

ERRORS = {"FlatError": FlatError, "NestedError": NestedError}
# Keywords kept beside a reference.
ANNOTATIONS = frozenset({"$ref", "description"})


def components(loaded: LoadedModel) -> dict[str, Schema]:
    """Return all schemas by name."""
    types = _types()
    made, shapes = msgspec.json.schema_components(types.values(), ref_template=COMPONENTS + "{name}")
    shapes |= {name: schema for name, schema in zip(types, made, strict=True) if name not in shapes}
    contradictions = _contradictions(Asker(loaded.settings, loaded.artifact.manifest))
    for shape in shapes.values():
        fields = shape.get("properties", {}).keys()
        if rules := [rule for pair, refused in contradictions if pair <= fields for rule in refused]:
            shape["allOf"] = rules
    for operation, _ in routes.ROUTES:
        if operation.body and operation.one_of:
            shapes[operation.body.__name__]["oneOf"] = [{"required": [key]} for key in operation.one_of]
    return {name: _tidy(_own_first(shape, types.get(name))) for name, shape in shapes.items()} | _limited(loaded)


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
        "ModelName": {
            "description": "The model that is served, by its name, its id or an alias (MODEL_ALIASES), also after a "
            "provider's name, as in `openai/NAME`. Another is refused, not replaced.",
            "anyOf": _model_names(Asker(settings, manifest).names),
        },
        "Vector": {
            "description": "A text's vector, of unit length.",
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
    ]


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
