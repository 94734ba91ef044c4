import html
import re
from html.parser import HTMLParser

import pytest

from server.api import docs_page
from server.api.openapi import document
from server.model.artifact import Artifact
from tests.unit.server.service.test_service import load

# Elements without an end tag.
VOID = {"meta"}


class Page(HTMLParser):
    """Collects a page's ids, links and text, and checks that all elements are closed."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.tags: set[str] = set()
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = {name: value or "" for name, value in attrs}
        self.ids.add(given.get("id", ""))
        self.links.add(given.get("href", ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def markup(artifact: Artifact) -> str:
    return docs_page.render(document(load(artifact, API_KEY="secret"))).decode()


def test_the_page_is_well_formed_and_fetches_nothing(markup: str) -> None:
    page = Page(markup)
    assert not page.open
    assert not page.tags & {"script", "link", "img", "iframe"}
    assert "http" not in re.sub(r"curl .*", "", markup)
    assert "sha256-" in docs_page.POLICY


def test_every_link_leads_to_a_place_on_the_page(markup: str) -> None:
    page = Page(markup)
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids


def test_routes_fields_limits_rules_and_examples_are_shown(artifact: Artifact, markup: str) -> None:
    described = document(load(artifact))
    text = html.unescape(re.sub(r"<[^>]+>", "", markup))
    for path, methods in described["paths"].items():
        for operation in methods.values():
            assert path in text
            assert operation["summary"] in text
    for said in (
        "Exactly one of text, texts, inputs.",
        "Not together: truncate",
        "at most 8",
        "at most 1024 items",
        "Keep that many components",
        "Authorization: Bearer",
    ):
        assert said in text
    assert "curl http://localhost:8000/v1/embeddings -H" in text
