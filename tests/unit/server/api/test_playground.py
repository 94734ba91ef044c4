import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from server.api import playground
from server.model.artifact import Artifact
from tests.unit.server.api.test_app import serve


class Document(HTMLParser):
    """Collects a page's ids, inline styles and scripts, labelled and unlabelled controls, and what it loads."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.labels: set[str] = set()
        self.controls: set[str] = set()
        self.loaded: list[str] = []
        self.inline: dict[str, str] = {}
        self.handlers: list[str] = []
        self._in = ""
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._in = tag
        self.handlers += [name for name in given if name.startswith("on") or name == "style"]
        self.ids += [given["id"]] if "id" in given else []
        self.labels |= {given["for"]} if "for" in given else set()
        if tag in {"input", "textarea", "select"}:
            self.controls.add(given["id"])
        self.loaded += [given[name] for name in ("src", "href") if name in given]

    def handle_endtag(self, _tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in in {"style", "script"}:
            self.inline[self._in] = self.inline.get(self._in, "") + data


@pytest.fixture
def document() -> Document:
    return Document(playground.PAGE.decode())


def test_the_page_loads_nothing_and_its_policy_allows_just_its_own_style_and_script(document: Document) -> None:
    assert document.loaded == ["data:,", "#compare", "docs"]
    assert document.handlers == []
    for kind in ("style", "script"):
        sha = base64.b64encode(hashlib.sha256(document.inline[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{sha}'" in playground.POLICY
    assert "unsafe" not in playground.POLICY
    addresses = re.findall(r"https?://[^\s\"'`]+", playground.PAGE.decode())
    assert addresses == ["http://www.w3.org/2000/svg"]  # a namespace, which nobody requests


def test_texts_are_never_markup_and_nothing_is_stored(document: Document) -> None:
    script = document.inline["script"]
    for risky in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert risky not in script
    for storage in ("localStorage", "sessionStorage", "document.cookie", "indexedDB", "history."):
        assert storage not in script


def test_every_control_has_a_label_and_every_element_that_is_used_exists(document: Document) -> None:
    assert document.controls <= document.labels
    assert len(document.ids) == len(set(document.ids))
    assert set(re.findall(r'(?<![.\w])get\("([\w-]+)"\)', document.inline["script"])) <= set(document.ids)
    assert set(re.findall(r'aria-(?:labelledby|describedby)="([\w-]+)"', playground.PAGE.decode())) <= set(document.ids)


async def test_the_page_itself_needs_no_key(artifact: Artifact) -> None:
    async with serve(artifact, API_KEY="k") as client:
        answer = await client.get("/")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.headers["content-security-policy"] == playground.POLICY
        assert artifact.manifest.name not in answer.text
        assert (await client.get("/info")).status_code == 401
        assert (await client.post("/", json={"inputs": "a"})).status_code == 401
