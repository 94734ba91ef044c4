"""Relative links lead to files, and anchors to headings."""

from pathlib import Path

import pytest

from tests.documents.pages import PAGES, anchors, links
from tests.serving import ROOT

LINKS = [(page, link) for page in PAGES for link in links(page) if not link.startswith(("http://", "https://"))]


@pytest.mark.parametrize(("page", "link"), LINKS, ids=lambda value: getattr(value, "name", value))
def test_a_relative_link_leads_somewhere(page: Path, link: str) -> None:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    assert target.exists()
    assert target.is_relative_to(ROOT)
    assert not anchor or anchor in anchors(target)


def test_every_page_and_picture_is_linked_from_somewhere() -> None:
    reached = {(page.parent / link.partition("#")[0]).resolve() for page, link in LINKS}
    wanted = {*(ROOT / "docs").glob("*.md"), *(ROOT / "docs").rglob("*.svg"), ROOT / "CHANGELOG.md", ROOT / "LICENSE"}
    assert sorted(path.name for path in wanted - reached) == []
