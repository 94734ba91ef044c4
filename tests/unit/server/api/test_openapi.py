import json
import re
from typing import Any

import pytest

from server import errors
from server.api.app import create_app
from server.api.guard import is_open
from server.api.openapi import document
from server.model.artifact import Artifact
from tests.unit.server.service.test_service import load, serving


def references(value: Any) -> set[str]:
    return set(re.findall(r'"#/components/([^"]+)"', json.dumps(value)))


@pytest.fixture
def described(artifact: Artifact) -> dict[str, Any]:
    return document(load(artifact, API_KEY="secret"))


async def test_every_route_is_described_with_its_methods(artifact: Artifact, described: dict[str, Any]) -> None:
    service = serving(load(artifact))
    app = create_app(service)
    await service.close()
    routes = {
        (route.path.replace(":path", ""), method.lower())  # type: ignore[attr-defined]
        for route in app.routes
        for method in route.methods  # type: ignore[attr-defined]
        if method != "HEAD"
    }
    assert {(path, method) for path, methods in described["paths"].items() for method in methods} == routes


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    for reference in references(described):
        kind, name = reference.split("/")
        assert name in described["components"][kind]


def test_a_key_is_asked_for_where_one_is_set(artifact: Artifact, described: dict[str, Any]) -> None:
    paths = described["paths"]
    operations = {(path, method): one for path, methods in paths.items() for method, one in methods.items()}
    keyless_routes = {route for route, operation in operations.items() if "security" not in operation}
    assert keyless_routes == {("/health", "get"), ("/ready", "get"), ("/", "get")}
    assert all(is_open(method.upper(), path) is ((path, method) in keyless_routes) for path, method in operations)
    assert "secret" not in json.dumps(described)
    keyless = document(load(artifact))
    assert "security" not in json.dumps(keyless)
    assert str(errors.UnauthorizedError.status) not in keyless["paths"]["/embed"]["post"]["responses"]


def test_errors_have_the_shape_of_their_route(described: dict[str, Any]) -> None:
    responses = described["components"]["responses"]
    for path, methods in described["paths"].items():
        shape = "NestedError" if path.startswith("/v1/") else "FlatError"
        if path in {"/v1/embed", "/v2/embed"}:
            shape = "CohereError"
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if status != "200":
                    body = responses[response["$ref"].split("/")[-1]]["content"]["application/json"]["schema"]
                    assert body["$ref"].endswith(shape), path


def test_every_answer_with_vectors_tells_what_was_cut(described: dict[str, Any]) -> None:
    for path in ("/embed", "/", "/v1/embeddings", "/v2/embed", "/v1/embed", "/similarity"):
        assert "x-truncated-inputs" in described["paths"][path]["post"]["responses"]["200"]["headers"]
