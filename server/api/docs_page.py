"""`/docs`: the OpenAPI document as one HTML page without scripts or external resources."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --link: #2563c9; }
@media (prefers-color-scheme: dark) { :root { --link: #7fb0ff; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem 1.5rem 4rem; }
a { color: var(--link); }
code, pre { font: 14px/1.45 ui-monospace, monospace; }
code { overflow-wrap: anywhere; }
pre { background: var(--soft); padding: .7rem 1rem; overflow-x: auto; border-radius: 6px; }
section { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: .5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); }
nav ul { list-style: none; padding: 0; columns: 2 20rem; }
.method { display: inline-block; min-width: 3.2rem; font-weight: 600; }
"""
CLOSED = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The part of a Content-Security-Policy that allows nothing."""


def digest(text: str) -> str:
    """Return the source expression that allows an inline style or script by its text."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


POLICY = f"{CLOSED}; style-src '{digest(STYLE)}'"
"""The page's Content-Security-Policy, which allows only its own inline style."""

Schema = Mapping[str, Any]
LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "multipleOf": "a multiple of {}",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
}


def render(document: Schema) -> bytes:
    """Render an OpenAPI 3.1 document of `server.api.openapi`."""
    info = document["info"]
    operations = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    parts = [
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}</p>",
        _access(document),
        '<p>For programs: <a href="openapi.json">openapi.json</a></p>',
        _contents(operations),
        *(_operation(document, *operation) for operation in operations),
        "<section><h2 id='schemas'>Schemas</h2>",
        *(_schema(document, name, schema) for name, schema in sorted(document["components"]["schemas"].items())),
        "</section>",
    ]
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])}</title><style>{STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )
    return page.encode()


def _access(document: Schema) -> str:
    if "securitySchemes" not in document["components"]:
        return ""
    return (
        "<p>Every request carries the key, as the header <code>Authorization: Bearer KEY</code>, "
        "but for /health, /ready and the page at /.</p>"
    )


def _contents(operations: Iterable[tuple[str, str, Schema]]) -> str:
    rows = (
        f'<li><a href="#{operation["operationId"]}"><span class="method">{method.upper()}</span> '
        f"<code>{escape(path)}</code></a> {escape(operation['summary'])}</li>"
        for method, path, operation in operations
    )
    return f"<nav><ul>{''.join(rows)}</ul></nav>"


def _operation(document: Schema, method: str, path: str, operation: Schema) -> str:
    parts = [
        f'<section id="{operation["operationId"]}"><h2>{method.upper()} <code>{escape(path)}</code></h2>',
        f"<p>{escape(operation['summary'])}. {_prose(operation.get('description', ''))}</p>",
        _body(document, path, operation),
        _parameters(document, operation),
        _responses(document, operation),
        "</section>",
    ]
    return "".join(parts)


def _body(document: Schema, path: str, operation: Schema) -> str:
    if "requestBody" not in operation:
        return ""
    [(media, content)] = operation["requestBody"]["content"].items()
    schema = _resolve(document, content["schema"])
    headers = [f"Content-Type: {media}", *(["Authorization: Bearer KEY"] if "security" in operation else [])]
    examples = (
        f"<p>{escape(name)}</p><pre>{escape(_command(path, headers, example['value']))}</pre>"
        for name, example in content["examples"].items()
    )
    return f"<h3>Body</h3>{_object(document, schema)}<h3>Examples</h3>{''.join(examples)}"


def _command(path: str, headers: Iterable[str], body: object) -> str:
    given = " ".join(f"-H '{header}'" for header in headers)
    return f"curl http://localhost:8000{path} {given} -d '{json.dumps(body)}'"


def _parameters(document: Schema, operation: Schema) -> str:
    parameters = [_resolve(document, parameter) for parameter in operation["parameters"]]
    rows = (
        (f"<code>{escape(one['name'])}</code>", one["in"], _kind(one["schema"]), _meaning(document, one))
        for one in parameters
    )
    return f"<h3>Parameters</h3>{_table(('name', 'in', 'type', 'meaning'), rows)}"


def _responses(document: Schema, operation: Schema) -> str:
    responses = ((status, _resolve(document, response)) for status, response in sorted(operation["responses"].items()))
    rows = (
        (status, _prose(response["description"]), _content(response), _header_names(response))
        for status, response in responses
    )
    return f"<h3>Answers</h3>{_table(('status', 'meaning', 'body', 'headers'), rows)}"


def _content(response: Schema) -> str:
    return ", ".join(
        _kind(content["schema"]) if media.endswith("json") else f"<code>{escape(media)}</code>"
        for media, content in response["content"].items()
    )


def _header_names(response: Schema) -> str:
    return ", ".join(f"<code>{escape(name)}</code>" for name in response["headers"])


def _schema(document: Schema, name: str, schema: Schema) -> str:
    shown = _object(document, schema) if "properties" in schema else f"<p>{_text(schema)}{_kind(schema)}</p>"
    return f'<h3 id="schema-{name}">{escape(name)}</h3>{shown}'


def _object(document: Schema, schema: Schema) -> str:
    required = schema.get("required", ())
    rows = (
        (
            f"<code>{escape(name)}</code>",
            _kind(property_),
            "yes" if name in required else "",
            _meaning(document, property_),
        )
        for name, property_ in schema["properties"].items()
    )
    return f"<p>{_text(schema)}</p>{_rules(schema)}{_table(('field', 'type', 'required', 'meaning'), rows)}"


def _rules(schema: Schema) -> str:
    lines = []
    if "oneOf" in schema:
        names = (f"<code>{escape(name)}</code>" for one in schema["oneOf"] for name in one["required"])
        lines.append(f"Exactly one of {', '.join(names)}.")
    for rule in schema.get("allOf", ()):
        pair = (f"<code>{escape(name)}</code> {_kind(values)}" for name, values in rule["not"]["properties"].items())
        lines.append(f"Not together: {' and '.join(pair)}.")
    return "".join(f"<p>{line}</p>" for line in lines)


def _meaning(document: Schema, schema: Schema) -> str:
    """Return the description of a field, or of the schema it refers to."""
    candidates = [schema, *schema.get("anyOf", ())]
    descriptions = (_prose(_resolve(document, one).get("description", "")) for one in candidates)
    return next(filter(None, descriptions), "")


def _prose(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _text(schema: Schema) -> str:
    return f"{_prose(schema['description'])} " if "description" in schema else ""


def _kind(schema: Schema) -> str:
    """Summarize the values that a schema allows, except for its pattern, which its description explains."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#schema-{name}">{escape(name)}</a>'
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return ", ".join(f"<code>{escape(json.dumps(value))}</code>" for value in values)
    limits = [words.format(schema[key]) for key, words in LIMITS.items() if key in schema]
    if "contains" in schema:
        limits.append(f"with {_kind(schema['contains'])}")
    if schema.get("not"):
        limits.append(f"not: {_kind(schema['not'])}")
    kind = f"list of {_kind(schema['items'])}" if "items" in schema else _type(schema)
    return "; ".join([kind, *limits])


def _type(schema: Schema) -> str:
    return escape(str(schema.get("type", "nothing" if "not" in schema else "anything")))


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = "".join(f"<th>{title}</th>" for title in head)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{titles}</tr>{lines}</table></div>'


def _resolve(document: Schema, node: Schema) -> Schema:
    if "$ref" not in node:
        return node
    _, _, kind, name = node["$ref"].split("/")
    resolved: Schema = document["components"][kind][name]
    return resolved
