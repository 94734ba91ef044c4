"""The fidelity texts: the project's and the user's."""

import json
from pathlib import Path

import pytest

from build import texts
from build.errors import BuildError


def test_own_texts_are_many_varied_and_distinct() -> None:
    items = texts.read().items
    words = sorted(len(text.split()) for text in items)
    assert len(items) >= 300
    assert len(set(items)) == len(items)
    assert words[0] == 1
    assert 350 <= words[-1] <= 500
    assert sum(count > 80 for count in words) >= 15
    assert sum(not text.isascii() for text in items) >= 40


def test_own_texts_name_their_domain() -> None:
    lines = texts.OWN.read_text("utf-8").strip().split("\n")
    assert len({json.loads(line)["domain"] for line in lines}) >= 20


def test_plain_lines_and_jsonl_strings(tmp_path: Path) -> None:
    wanted = [f"text {number}\u2028still the same" for number in range(60)]
    (tmp_path / "a.txt").write_text("\n".join(wanted), "utf-8")
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(text) for text in wanted), "utf-8")
    assert texts.read(tmp_path / "a.txt").items == wanted
    assert texts.read(tmp_path / "a.jsonl").items == wanted


@pytest.mark.parametrize("line", ['{"body": "no text"}', "12", '{"text": "  "}', "{"])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('"fine"\n' + line, "utf-8")
    with pytest.raises(BuildError, match="line 2"):
        texts.read(path)


def test_too_few_or_unreadable(tmp_path: Path) -> None:
    (tmp_path / "few.txt").write_text("one\ntwo")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n" * 80)
    for name, message in (("few.txt", "at least 50"), ("latin.txt", "cannot be read"), ("none.txt", "none.txt")):
        with pytest.raises(BuildError, match=message):
            texts.read(tmp_path / name)
