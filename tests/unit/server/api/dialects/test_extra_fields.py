import json
import re
from typing import Any

import pytest

from server.api.dialects import embed, openai
from server.api.dialects.extra_fields import IGNORED, REFUSED
from server.api.schemas import components
from server.errors import InvalidError
from server.model.artifact import Artifact
from server.service.embed_request import Asker
from server.settings import resolve
from tests.serving import ROOT
from tests.unit.server import tiny
from tests.unit.server.api.test_app import serve
from tests.unit.server.service.test_service import load

ANYTHING: tuple[object, ...] = (True, False, 0, 1, 1.5, "x", "text", [], {}, {"a": [{"b": None}]})


@pytest.fixture
def asker(artifact: Artifact) -> Asker:
    return Asker(resolve({}), artifact.manifest)


def ask(asker: Asker, route: str, **extra: object) -> Any:
    if route == "/embed":
        return embed.parse(json.dumps({"text": "a"} | extra).encode(), asker).question
    return openai.parse(json.dumps({"model": tiny.NAME, "input": "a"} | extra).encode(), asker).question


@pytest.mark.parametrize("route", ["/embed", "/v1/embeddings"])
@pytest.mark.parametrize("name", IGNORED)
def test_a_field_without_meaning_for_a_vector_is_ignored_whatever_it_holds(asker: Asker, route: str, name: str) -> None:
    plain = ask(asker, route)
    for value in ANYTHING:
        asked = ask(asker, route, **{name: value})
        assert asked.ignored == (name,)
        assert (asked.inputs, asked.prompt, asked.dimensions) == (plain.inputs, plain.prompt, plain.dimensions)
    assert ask(asker, route, **{name: None}).ignored == ()


@pytest.mark.parametrize("name", [name for name in REFUSED if name != "normalize"])
def test_a_field_that_could_change_a_vector_is_refused_with_the_nearest_one_that_is_taken(
    asker: Asker, name: str
) -> None:
    row = REFUSED[name]
    for value in ANYTHING:
        if any(type(value) is type(harmless) and value == harmless for harmless in row.harmless):
            assert ask(asker, "/embed", **{name: value}).ignored == ()
            continue
        for route in ("/embed", "/v1/embeddings"):
            with pytest.raises(InvalidError, match=f"^{name} is refused: .*{row.nearest}") as refused:
                ask(asker, route, **{name: value})
            assert refused.value.param == name
    assert ask(asker, "/embed", **{name: None}).ignored == ()


def test_the_nearest_fields_are_taken_by_both_routes(artifact: Artifact) -> None:
    schemas = components(load(artifact))
    for body in (embed.EmbedBody, openai.EmbeddingsBody):
        fields = list(schemas[body.__name__]["properties"])
        own = list(body.__annotations__)
        assert fields[: len(own)] == own, "a dialect's own fields come first"
        assert {row.nearest for row in REFUSED.values() if row.nearest} <= set(own)


def test_the_page_on_clients_shows_the_tables() -> None:
    page = (ROOT / "docs" / "clients.md").read_text("utf-8")
    listed = dict(re.findall(r"^\| `(\w+)` \| (ignored|refused|`.*` accepted, else refused) \|", page, re.MULTILINE))
    kinds = dict.fromkeys(IGNORED, "ignored")
    for name, row in REFUSED.items():
        values = ", ".join(f"`{json.dumps(value)}`" for value in row.harmless)
        kinds[name] = f"{values} accepted, else refused" if values else "refused"
    assert listed == kinds


async def test_ignored_fields_are_named_in_the_answer_and_counted(artifact: Artifact) -> None:
    async with serve(artifact) as client:
        body = {"model": tiny.NAME, "input": "a", "user": "u", "metadata": {"a": 1}, "stream": False}
        answer = await client.post("/v1/embeddings", json=body)
        assert answer.headers["x-ignored-fields"] == "user, metadata, stream"
        assert "x-ignored-fields" not in (await client.post("/embed", json={"text": "a"})).headers
        refused = await client.post("/v1/embeddings", json=body | {"colour": "red", "task": "x"})
        assert refused.status_code == 422
        scraped = (await client.get("/metrics")).text
    counted = dict(re.findall(r'embedding_ignored_fields_total\{field="(\w+)"\} (\S+)', scraped))
    assert {name for name, value in counted.items() if value == "1.0"} == {"user", "metadata", "stream"}
    assert counted.keys() == IGNORED.keys()
