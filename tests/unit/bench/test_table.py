from bench.table import ABSENT, Table, mega, number

TABLE = Table("Speed", ("variant", "tokens/s"), [["fp32", "9"], ["int8-static", "1,560"]])


def test_text_is_aligned_names_left_figures_right() -> None:
    assert TABLE.text().splitlines() == [
        "Speed",
        "  variant      tokens/s",
        "  fp32                9",
        "  int8-static     1,560",
    ]


def test_markdown_has_a_row_each() -> None:
    assert TABLE.markdown().splitlines() == [
        "**Speed**",
        "",
        "| variant | tokens/s |",
        "| --- | ---: |",
        "| fp32 | 9 |",
        "| int8-static | 1,560 |",
    ]


def test_a_table_without_rows_has_its_header() -> None:
    assert Table("Empty", ("a", "b"), []).text() == "Empty\n  a  b"


def test_numbers_are_grouped_and_nothing_is_a_dash() -> None:
    assert number(1234.5678, 2) == "1,234.57"
    assert number(0.0) == "0"
    assert number(None, 3) == ABSENT
    assert (mega(45_283_670), mega(None)) == ("45", ABSENT)
