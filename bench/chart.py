"""SVG charts: bars with error bars, a scatter plot of speed against fidelity, and curves.

Colours follow the reader's light or dark theme. Our contenders are blue, others grey; every mark is labelled, so colour
carries no information of its own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from bench.spread import Spread
from server import svg

_NAMES, _FIGURES, _TOP = 140, 150, 56
_BAR, _PITCH = 16, 26
_PLOT_HEIGHT, _LEFT, _BOTTOM = 300, 80, 56
_LINE_HEIGHT = 16.0
XY = tuple[float, float]
# The fidelity axis starts no higher than this, so that noise between lossless variants does not span the chart.
_LEAST_REACH = 0.99


@dataclass(frozen=True)
class Bar:
    """One bar: a name, a figure with its spread, and whether it is ours."""

    name: str
    value: Spread
    ours: bool


@dataclass(frozen=True)
class Point:
    """One variant's fidelity and speed."""

    name: str
    fidelity: float
    speed: Spread


def bars(title: str, unit: str, rows: Sequence[Bar]) -> str:
    """Draw horizontal bars, the largest on top, each with an error bar from minimum to maximum."""
    ordered = sorted(rows, key=lambda row: -row.value.median)
    root = svg.root(_TOP + _PITCH * len(ordered) + 12, title, unit)
    room = svg.WIDTH - _NAMES - _FIGURES
    scale = room / max((row.value.high for row in ordered), default=1.0)
    for place, row in enumerate(ordered):
        _bar(root, row, _TOP + _PITCH * place, scale)
    return svg.finish(root)


def _bar(root: ET.Element, row: Bar, top: float, scale: float) -> None:
    middle = top + _BAR / 2
    kind = "ours" if row.ours else "peer"
    width = row.value.median * scale
    svg.text(root, _NAMES - 8, middle + 4, row.name, "ours" if row.ours else "label", "end")
    svg.add(root, "rect", x=_NAMES, y=top, width=width, height=_BAR, rx=2, **{"class": kind})
    ends = (_NAMES + row.value.low * scale, _NAMES + row.value.high * scale)
    svg.line(root, (ends[0], middle), (ends[1], middle), "reach")
    figures = f"{row.value.median:,.0f}  ({row.value.low:,.0f}–{row.value.high:,.0f})"
    svg.text(root, max(ends[1], _NAMES + width) + 8, middle + 4, figures, "label")


def scatter(title: str, across: str, up: str, points: Sequence[Point]) -> str:
    """Plot speed (y) against fidelity (x), each point with its name and an error bar for speed."""
    root = svg.root(_TOP + _PLOT_HEIGHT + _BOTTOM, title, f"up: {up}")
    floor, right = _TOP + _PLOT_HEIGHT, svg.WIDTH - 100
    columns = ticks(min([_LEAST_REACH, *(point.fidelity for point in points)]), 1.0)
    levels = ticks(0.0, max((point.speed.high for point in points), default=1.0))

    def x(fidelity: float) -> float:
        return _LEFT + (right - _LEFT) * (fidelity - columns[0]) / (columns[-1] - columns[0])

    def y(speed: float) -> float:
        return floor - _PLOT_HEIGHT * speed / levels[-1]

    for level in levels:
        svg.line(root, (_LEFT, y(level)), (right, y(level)), "line")
        svg.text(root, _LEFT - 8, y(level) + 4, f"{level:,.0f}", "small", "end")
    for column in columns:
        svg.text(root, x(column), floor + 18, f"{column * 100:g} %", "small", "middle")
    svg.text(root, (_LEFT + right) / 2, floor + 40, f"across: {across}", "small", "middle")
    heights = apart([y(point.speed.median) for point in points], _LINE_HEIGHT)
    for point, height in zip(points, heights, strict=True):
        place = x(point.fidelity)
        svg.line(root, (place, y(point.speed.low)), (place, y(point.speed.high)), "reach")
        svg.add(root, "circle", cx=place, cy=y(point.speed.median), r=6, **{"class": "ours"})
        svg.text(root, place + 10, height + 4, point.name, "label")
    return svg.finish(root)


def curve(title: str, across: str, up: str, points: Sequence[XY], mark: tuple[float, float, str]) -> str:
    """Draw a line through `points`, both axes from 0, and label the point `mark`."""
    root = svg.root(_TOP + _PLOT_HEIGHT + _BOTTOM, title, f"up: {up}")
    floor, right = _TOP + _PLOT_HEIGHT, svg.WIDTH - 40
    columns, levels = (ticks(0.0, max(values)) for values in zip(*points, mark[:2], strict=True))

    def place(point: XY) -> XY:
        return _LEFT + (right - _LEFT) * point[0] / columns[-1], floor - _PLOT_HEIGHT * point[1] / levels[-1]

    for level in levels:
        svg.line(root, place((0.0, level)), (right, place((0.0, level))[1]), "line")
        svg.text(root, _LEFT - 8, place((0.0, level))[1] + 4, f"{level:,g}", "small", "end")
    for column in columns:
        svg.text(root, place((column, 0.0))[0], floor + 18, f"{column:,g}", "small", "middle")
    svg.text(root, (_LEFT + right) / 2, floor + 40, f"across: {across}", "small", "middle")
    drawn = " ".join("{:.1f},{:.1f}".format(*place(point)) for point in points)
    svg.add(root, "polyline", points=drawn, **{"class": "curve"})
    x, y = place(mark[:2])
    svg.add(root, "circle", cx=x, cy=y, r=6, **{"class": "ours"})
    # The label goes on the side without the line.
    below = points[-1][1] > points[0][1]
    svg.text(root, x + 10, y + (20 if below else -10), mark[2], "label")
    return svg.finish(root)


def apart(heights: Sequence[float], distance: float) -> list[float]:
    """Move heights down until all are at least `distance` apart, so that labels do not overlap."""
    moved = list(heights)
    above = -math.inf
    for place in sorted(range(len(heights)), key=heights.__getitem__):
        moved[place] = above = max(heights[place], above + distance)
    return moved


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return evenly spaced round numbers that cover `low` to `high` in about `count` steps."""
    reach = max(high - low, 1e-6)
    power = 10.0 ** math.floor(math.log10(reach / count))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * count >= reach * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(place * step, 9) for place in range(first, last + 1)]
