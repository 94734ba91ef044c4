import re

import pytest

from server.api import routes
from server.api.paths import canonical, describe_nearest, nearest_route
from server.model.artifact import Artifact
from tests.unit.server import tiny
from tests.unit.server.api.test_app import serve


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/embed", "/embed"),
        ("/embed/", "/embed"),
        ("//embed", "/embed"),
        ("/v1//embeddings//", "/v1/embeddings"),
        ("/embeddings", "/v1/embeddings"),
        ("/models/org/name", "/v1/models/org/name"),
        ("/healthz/", "/health"),
        ("/api", "/"),
        ("/api/", "/"),
        ("/api/embeddings/", "/v1/embeddings"),
        ("//api//embed", "/embed"),
        ("", "/"),
        ("///", "/"),
        ("*", "*"),
        ("/apiembed", "/apiembed"),
        ("/api/api/embed", "/api/embed"),
        ("/api/../embed", "/../embed"),
        ("/./embed", "/./embed"),
        ("/embeddings/x", "/embeddings/x"),
    ],
)
def test_a_path_leads_to_its_route(path: str, route: str) -> None:
    assert canonical(path, "/api") == route


def test_every_alias_is_of_a_route() -> None:
    patterns = [operation.path.replace("{model:path}", "") for operation, _ in routes.ROUTES]
    assert set(routes.ALIASES.values()) <= set(patterns)
    assert not routes.ALIASES.keys() & set(patterns)


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("/v1/embedding", "/v1/embeddings"),
        ("/v1/v1/embeddings", "/v1/embeddings"),
        ("/api/v1/embeddings", "/v1/embeddings"),
        ("/v1/chat/completions", "/v1/"),
        ("/api/embed", "/embed"),
        ("/embeding", "/embed"),
        ("/readyz", "/ready"),
        ("/x" * 10_000, "/"),
    ],
)
def test_an_unknown_path_is_answered_with_the_nearest_route_of_its_version(path: str, nearest: str) -> None:
    assert nearest_route(path).path.startswith(nearest)


def test_a_prefix_that_a_proxy_may_have_added_names_the_setting() -> None:
    assert "POST /v1/embeddings (BASE_PATH=/api if" in describe_nearest("/api/v1/embeddings")
    assert "BASE_PATH" not in describe_nearest("/v1/v1/embeddings")
    assert "BASE_PATH" not in describe_nearest("/<script>/embed")


async def test_other_spellings_have_the_key_the_error_shape_and_the_label_of_their_route(artifact: Artifact) -> None:
    async with serve(artifact, API_KEY="k", BASE_PATH="/api", MAX_BODY_BYTES="200") as client:
        key = {"authorization": "Bearer k"}
        body = {"model": f"openai/{tiny.NAME}", "input": "a"}
        for path in ("/api/v1/embeddings/", "//embeddings", "/v1%2Fembeddings"):
            refused = await client.post(f"http://test{path}", json=body)
            assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unauthorized")
            answer = await client.post(f"http://test{path}", json=body, headers=key)
            assert (answer.status_code, answer.json()["model"]) == (200, tiny.NAME)
            large = await client.post(f"http://test{path}", json=body | {"user": "x" * 200}, headers=key)
            assert large.status_code == 413
        for path in ("/api/health", "//healthz", "/api/", "/", "//"):
            assert (await client.get(f"http://test{path}")).status_code == 200
        for path in ("/health/../info", "/api/info", "//info", "/.%2Fhealth", "/health/..%2Finfo", "/x" * 100):
            assert (await client.get(f"http://test{path}")).status_code == 401
        assert (await client.post("http://test/api/", json={"text": "a"})).status_code == 401
        scraped = (await client.get("/api//metrics", headers=key)).text
    counted = set(re.findall(r'embedding_requests_total\{code="\d+",route="([^"]+)"\}', scraped))
    assert counted == {"/v1/embeddings", "/health", "/", "/info", "other"}


async def test_the_index_lists_the_routes_and_nothing_of_the_model(artifact: Artifact) -> None:
    async with serve(artifact, PLAYGROUND="false") as client:
        answer = await client.get("/")
        assert "POST /v1/embeddings" in answer.json()["routes"]
        assert tiny.NAME not in answer.text
