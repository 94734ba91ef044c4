from typing import Any

import msgspec
import orjson
import pytest

from server.api import handlers, routes
from server.api.dialects import embed
from server.api.operation import BODY_ERRORS, Operation, ref
from server.model.artifact import Artifact
from server.service.embed_request import Asker, EmbedRequest
from server.service.result import Result
from tests.unit.server.api.test_app import serve


class WordBody(msgspec.Struct):
    """The body of a minimal dialect."""

    word: str
    truncate: str = "END"
    truncation_direction: str = "Right"


Count = list[int]
OPERATION = Operation(
    path="/v1/words/{name:path}",
    id="word",
    summary="Embed a word",
    body=WordBody,
    one_of=("word",),
    examples=lambda manifest: {"a word": {"word": manifest.name}},
    answer=ref("Count"),
    types={"Count": Count},
    failures=BODY_ERRORS,
)


def parse(payload: bytes, asker: Asker) -> embed.EmbedQuestion:
    body = msgspec.json.decode(payload, type=WordBody)
    return embed.EmbedQuestion(EmbedRequest(asker.inputs([body.word], "word")), "rows")


def render(_asked: embed.EmbedQuestion, result: Result) -> bytes:
    return orjson.dumps(list(result.vectors.shape))


async def test_a_row_of_the_table_is_all_that_a_dialect_needs(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "ROUTES", (*routes.ROUTES, (OPERATION, handlers.vectors(parse, render))))
    async with serve(artifact) as client:
        assert (await client.post("/v1/words/b", json={"word": "a"})).json() == [1, 8]
        assert "message" in (await client.get("/v1/words/b")).json()["error"]
        check_document((await client.get("/openapi.json")).json())
        assert "/v1/words/{name}" in (await client.get("/docs")).text
        counted = (await client.get("/metrics")).text
        assert 'embedding_requests_total{code="200",route="/v1/words/{name:path}"} 1.0' in counted


def check_document(document: dict[str, Any]) -> None:
    described = document["paths"]["/v1/words/{name}"]["post"]
    [content] = described["requestBody"]["content"].values()
    assert content == {"schema": ref("WordBody"), "examples": {"a word": {"value": {"word": "tiny"}}}}
    assert described["responses"]["422"] == {"$ref": "#/components/responses/OpenAIInvalidError"}
    schemas = document["components"]["schemas"]
    assert schemas["Count"] == {"type": "array", "items": {"type": "integer"}}
    assert schemas["WordBody"]["oneOf"] == [{"required": ["word"]}]
    assert "START" in str(schemas["WordBody"]["allOf"])
