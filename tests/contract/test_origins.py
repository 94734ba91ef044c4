"""Cross-origin requests: only pages of the server itself and of the configured origins may post."""

from collections.abc import Iterator

import pytest

from tests.serving import Served, serve

NAMED = "https://app.example"
BODY = b'{"text": "a"}'


@pytest.fixture(scope="module")
def shared() -> Iterator[Served]:
    """A server that allows one other origin."""
    with serve(quantization="int8", cors_allow_origin=NAMED) as served:
        yield served


# What a form or fetch() can send without a preflight: no Content-Type (a Blob), or one that is refused anyway.
@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
@pytest.mark.parametrize("path", ["/embed", "/", "/v1/embeddings", "/similarity", "/tokenize"])
def test_a_page_of_another_site_cannot_post(int8: Served, path: str, origin: str) -> None:
    answer = int8.client.post(path, content=BODY, headers={"origin": origin})
    assert answer.status_code == 403
    error = answer.json()["error"]
    assert "CORS_ALLOW_ORIGIN" in (error["message"] if path.startswith("/v1/") else error)
    assert "access-control-allow-origin" not in answer.headers


def test_a_page_of_the_server_s_own_can(int8: Served) -> None:
    assert int8.client.post("/embed", content=BODY, headers={"origin": int8.url.rstrip("/")}).status_code == 200


def test_a_page_of_an_origin_that_is_named_can_and_may_read_the_answer(shared: Served) -> None:
    asking = {
        "origin": NAMED,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    assert shared.client.options("/embed", headers=asking).status_code == 200
    answer = shared.client.post("/embed", content=BODY, headers={"origin": NAMED, "content-type": "application/json"})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == NAMED
    refused = shared.client.post("/embed", content=BODY, headers={"origin": "https://evil.example"})
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize("charset", ["utf-16", "utf-32", "iso-8859-1", "UTF-7"])
def test_json_in_another_charset_is_a_415(int8: Served, charset: str) -> None:
    headers = {"content-type": f"application/json; charset={charset}"}
    answer = int8.client.post("/embed", content=BODY, headers=headers)
    assert answer.status_code == 415
    assert "UTF-8" in answer.json()["error"]
