from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.chart import Bar, Point, apart, bars, curve, scatter, ticks
from bench.spread import Spread
from tests.unit.bench.conftest import drawn

SVG = "{http://www.w3.org/2000/svg}"
ROWS = [
    Bar("torch-fp32", Spread(100, 90, 110), ours=False),
    Bar("int8", Spread(1500, 1400, 1550), ours=True),
    Bar("<odd> & name", Spread(700, 700, 700), ours=False),
]


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in drawn(svg).iter(f"{SVG}text")]


def test_bars_parse_and_name_everyone_fastest_first() -> None:
    svg = bars("Speed <of> all", "tokens/s", ROWS)
    root = drawn(svg)
    names = [text for text in texts(svg) if text in {row.name for row in ROWS}]
    assert names == ["int8", "<odd> & name", "torch-fp32"]
    assert "1,500  (1,400–1,550)" in texts(svg)
    assert [bar.get("class") for bar in root.iter(f"{SVG}rect")] == ["ours", "peer", "peer"]
    assert root.findtext(f"{SVG}title") == "Speed <of> all"


def test_bar_widths_are_in_proportion_and_within_the_picture() -> None:
    root = drawn(bars("t", "u", ROWS))
    widths = [float(bar.get("width", "")) for bar in root.iter(f"{SVG}rect")]
    assert widths[0] / widths[2] == pytest.approx(15, rel=0.01)
    assert max(widths) < float(root.get("width", ""))


def test_the_same_figures_draw_the_same_bytes() -> None:
    assert bars("t", "u", ROWS) == bars("t", "u", ROWS)


def test_a_chart_of_nothing_still_parses() -> None:
    assert drawn(bars("t", "u", [])).tag == f"{SVG}svg"
    assert drawn(scatter("t", "a", "u", [])).tag == f"{SVG}svg"


def test_scatter_puts_the_faithful_right_and_the_fast_up() -> None:
    points = [Point("fp32", 1.0, Spread(500, 400, 600)), Point("int8", 0.95, Spread(1500, 1400, 1600))]
    svg = scatter("t", "a", "u", points)
    exact, quick = drawn(svg).iter(f"{SVG}circle")
    assert float(exact.get("cx", "")) > float(quick.get("cx", ""))
    assert float(exact.get("cy", "")) > float(quick.get("cy", ""))
    assert {"fp32", "int8", "100 %"} <= set(texts(svg))


@given(st.floats(0.0, 0.999), st.floats(0.001, 1e6))
def test_ticks_are_even_and_cover_the_range(low: float, reach: float) -> None:
    marks = ticks(low, low + reach)
    assert marks[0] <= low + 1e-6
    assert marks[-1] >= low + reach * (1 - 1e-6)
    assert 2 <= len(marks) <= 8
    steps = [after - before for before, after in pairwise(marks)]
    assert max(steps) == pytest.approx(min(steps), rel=1e-3)


@given(st.lists(st.floats(0, 300), max_size=6))
def test_labels_are_moved_apart_and_never_up(heights: list[float]) -> None:
    moved = apart(heights, 16)
    assert all(after >= before for before, after in zip(heights, moved, strict=True))
    assert all(after - before >= 16 - 1e-9 for before, after in pairwise(sorted(moved)))


def test_variants_without_loss_can_be_drawn() -> None:
    (point,) = drawn(scatter("t", "a", "u", [Point("fp32", 1.0, Spread(5, 4, 6))])).iter(f"{SVG}circle")
    assert float(point.get("cx", "")) > 0


def test_a_curve_lies_within_the_picture_and_names_its_mark() -> None:
    svg = curve("t", "servers", "hours", [(1, 600), (2, 300), (4, 150)], (2, 300, "300 h on two"))
    (line,) = drawn(svg).iter(f"{SVG}polyline")
    points = [tuple(map(float, pair.split(","))) for pair in line.get("points", "").split()]
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert [y for _, y in points] == sorted(y for _, y in points)
    assert all(0 < x < 760 and 0 < y < 412 for x, y in points)
    (mark,) = drawn(svg).iter(f"{SVG}circle")
    assert (float(mark.get("cx", "")), float(mark.get("cy", ""))) == points[1]
    assert "300 h on two" in texts(svg)
