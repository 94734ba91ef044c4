"""A page says what it is given, and whatever a file's name holds is text in it."""

import pytest

from build.page import Commands, Rows, Section, markdown, text

HOSTILE = "a|b`c`*d*_e_ [f](https://g) <script>&amp; \x1b[2J\u202e\nh \ud800"


def page() -> list[Section]:
    rows = Rows(("name", "value"), [("short", "1"), ("much longer", "22")])
    return [Section("First", ["A sentence.", rows]), Section("Second", [Commands(["make serve"])])]


def test_text_has_its_tables_in_columns() -> None:
    assert text("m", page()).split("\n\n") == [
        "m",
        "First:\n  A sentence.",
        "  name         value\n  short        1\n  much longer  22",
        "Second:\n  make serve",
    ]


def test_markdown_has_tables_and_commands() -> None:
    assert markdown("m", page()).split("\n\n") == [
        "# m",
        "## First",
        "A sentence.",
        "| name | value |\n| --- | --- |\n| short | 1 |\n| much longer | 22 |",
        "## Second",
        "```bash\nmake serve\n```\n",
    ]


def test_nothing_in_a_value_is_acted_on_by_a_terminal() -> None:
    shown = text("m", [Section("S", [Rows(("name",), [(HOSTILE,)])])])
    assert "\\x1b[2J\\u202e\\nh \\ud800" in shown
    assert all(line.isprintable() for line in shown.splitlines())


def test_nothing_in_a_value_is_markup() -> None:
    row = markdown("m", [Section("S", [Rows(("name",), [(HOSTILE,)])])]).splitlines()[-1]
    assert row == (r"| a\|b\`c\`\*d\*\_e\_ \[f\](https\://g) \<script\>\&amp; \\x1b\[2J\\u202e\\nh \\ud800 |")


@pytest.mark.parametrize("value", ["max_seq_length", "all-MiniLM-L6-v2.int8.onnx", "1_Pooling/config.json"])
def test_usual_names_stay_as_they_are(value: str) -> None:
    assert f"| {value} |" in markdown("m", [Section("S", [Rows(("name",), [(value,)])])])


def test_a_long_value_loses_its_middle() -> None:
    shown = text("a" * 5000 + "the end", [])
    assert len(shown) < 1100
    assert shown.endswith("the end")
