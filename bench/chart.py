"""Charts as SVG, written with the standard library: bars with their spread, speed against fidelity, and curves.

Light and dark come from the reader's own setting. What is ours is blue, what others made is grey; every mark has its
name beside it, so that nothing hangs on colour.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from bench.spread import Spread

_STYLE = """
svg { background: #fff; font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 15px; font-weight: 600; }
.small { font-size: 12px; fill: #59636e; }
.ours { fill: #0969da; font-weight: 600; }
.peer { fill: #8c959f; }
.label { fill: #1f2328; }
.line { stroke: #d1d9e0; stroke-width: 1; }
.reach { stroke: #1f2328; stroke-width: 1.5; }
.curve { stroke: #0969da; stroke-width: 2; fill: none; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; fill: #f0f6fc; }
  .small { fill: #9198a1; } .ours { fill: #4493f8; } .peer { fill: #6e7681; } .label { fill: #f0f6fc; }
  .line { stroke: #3d444d; } .reach { stroke: #f0f6fc; }
  .curve { stroke: #4493f8; }
}
"""
_WIDTH, _NAMES, _FIGURES, _TOP = 760, 140, 150, 56
_BAR, _PITCH = 16, 26
_PLOT_HEIGHT, _LEFT, _BOTTOM = 300, 80, 56
_LINE_HEIGHT = 16.0
XY = tuple[float, float]
# Fidelity is drawn from here at the latest, so that variants without loss do not fill the width with noise.
_LEAST_REACH = 0.99


@dataclass(frozen=True)
class Bar:
    """One row: a name, a figure with its spread, and whether it is ours."""

    name: str
    value: Spread
    ours: bool


@dataclass(frozen=True)
class Point:
    """One variant: how faithful it is, and how fast."""

    name: str
    fidelity: float
    speed: Spread


def bars(title: str, unit: str, rows: Sequence[Bar]) -> str:
    """Draw horizontal bars, the fastest on top, each with a line from its least to its greatest figure."""
    ordered = sorted(rows, key=lambda row: -row.value.median)
    root = _root(_TOP + _PITCH * len(ordered) + 12, title, unit)
    room = _WIDTH - _NAMES - _FIGURES
    scale = room / max((row.value.high for row in ordered), default=1.0)
    for place, row in enumerate(ordered):
        _bar(root, row, _TOP + _PITCH * place, scale)
    return _finish(root)


def _bar(root: ET.Element, row: Bar, top: float, scale: float) -> None:
    middle = top + _BAR / 2
    kind = "ours" if row.ours else "peer"
    width = row.value.median * scale
    _text(root, _NAMES - 8, middle + 4, row.name, "ours" if row.ours else "label", "end")
    _add(root, "rect", x=_NAMES, y=top, width=width, height=_BAR, rx=2, **{"class": kind})
    ends = (_NAMES + row.value.low * scale, _NAMES + row.value.high * scale)
    _line(root, (ends[0], middle), (ends[1], middle), "reach")
    figures = f"{row.value.median:,.0f}  ({row.value.low:,.0f}–{row.value.high:,.0f})"
    _text(root, max(ends[1], _NAMES + width) + 8, middle + 4, figures, "label")


def scatter(title: str, across: str, up: str, points: Sequence[Point]) -> str:
    """Draw fidelity across and speed up, each point with its name and the spread of its speed."""
    root = _root(_TOP + _PLOT_HEIGHT + _BOTTOM, title, f"up: {up}")
    floor, right = _TOP + _PLOT_HEIGHT, _WIDTH - 100
    columns = ticks(min([_LEAST_REACH, *(point.fidelity for point in points)]), 1.0)
    levels = ticks(0.0, max((point.speed.high for point in points), default=1.0))

    def x(fidelity: float) -> float:
        return _LEFT + (right - _LEFT) * (fidelity - columns[0]) / (columns[-1] - columns[0])

    def y(speed: float) -> float:
        return floor - _PLOT_HEIGHT * speed / levels[-1]

    for level in levels:
        _line(root, (_LEFT, y(level)), (right, y(level)), "line")
        _text(root, _LEFT - 8, y(level) + 4, f"{level:,.0f}", "small", "end")
    for column in columns:
        _text(root, x(column), floor + 18, f"{column * 100:g} %", "small", "middle")
    _text(root, (_LEFT + right) / 2, floor + 40, f"across: {across}", "small", "middle")
    heights = apart([y(point.speed.median) for point in points], _LINE_HEIGHT)
    for point, height in zip(points, heights, strict=True):
        place = x(point.fidelity)
        _line(root, (place, y(point.speed.low)), (place, y(point.speed.high)), "reach")
        _add(root, "circle", cx=place, cy=y(point.speed.median), r=6, **{"class": "ours"})
        _text(root, place + 10, height + 4, point.name, "label")
    return _finish(root)


def curve(title: str, across: str, up: str, points: Sequence[XY], mark: tuple[float, float, str]) -> str:
    """Draw a line through `points`, both axes from 0, and name the one place on it that was asked for."""
    root = _root(_TOP + _PLOT_HEIGHT + _BOTTOM, title, f"up: {up}")
    floor, right = _TOP + _PLOT_HEIGHT, _WIDTH - 40
    columns, levels = (ticks(0.0, max(values)) for values in zip(*points, mark[:2], strict=True))

    def place(point: XY) -> XY:
        return _LEFT + (right - _LEFT) * point[0] / columns[-1], floor - _PLOT_HEIGHT * point[1] / levels[-1]

    for level in levels:
        _line(root, place((0.0, level)), (right, place((0.0, level))[1]), "line")
        _text(root, _LEFT - 8, place((0.0, level))[1] + 4, f"{level:,g}", "small", "end")
    for column in columns:
        _text(root, place((column, 0.0))[0], floor + 18, f"{column:,g}", "small", "middle")
    _text(root, (_LEFT + right) / 2, floor + 40, f"across: {across}", "small", "middle")
    drawn = " ".join("{:.1f},{:.1f}".format(*place(point)) for point in points)
    _add(root, "polyline", points=drawn, **{"class": "curve"})
    x, y = place(mark[:2])
    _add(root, "circle", cx=x, cy=y, r=6, **{"class": "ours"})
    # On the side that the line leaves free.
    below = points[-1][1] > points[0][1]
    _text(root, x + 10, y + (20 if below else -10), mark[2], "label")
    return _finish(root)


def apart(heights: Sequence[float], distance: float) -> list[float]:
    """Move heights downwards until no two are nearer than `distance`, so that the names there can be read."""
    moved = list(heights)
    above = -math.inf
    for place in sorted(range(len(heights)), key=heights.__getitem__):
        moved[place] = above = max(heights[place], above + distance)
    return moved


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers, evenly spaced, from at most `low` to at least `high`, about `count` steps."""
    reach = max(high - low, 1e-6)
    power = 10.0 ** math.floor(math.log10(reach / count))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * count >= reach * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(place * step, 9) for place in range(first, last + 1)]


def _root(height: float, title: str, subtitle: str) -> ET.Element:
    size = {"width": str(_WIDTH), "height": f"{height:g}", "viewBox": f"0 0 {_WIDTH} {height:g}"}
    root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img", **size})
    ET.SubElement(root, "title").text = title
    ET.SubElement(root, "style").text = _STYLE
    _text(root, 12, 24, title, "title")
    _text(root, 12, 42, subtitle, "small")
    return root


def _add(root: ET.Element, tag: str, **attributes: object) -> ET.Element:
    plain = {name: f"{value:.1f}" if isinstance(value, float) else str(value) for name, value in attributes.items()}
    return ET.SubElement(root, tag, plain)


def _line(root: ET.Element, start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
    _add(root, "line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], **{"class": kind})


def _text(root: ET.Element, x: float, y: float, text: str, kind: str, anchor: str = "start") -> None:
    _add(root, "text", x=x, y=y, **{"class": kind, "text-anchor": anchor}).text = text


def _finish(root: ET.Element) -> str:
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"
