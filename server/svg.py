"""Build SVG documents with the standard library; colours follow the reader's light or dark theme."""

from xml.etree import ElementTree as ET

WIDTH = 760
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
.box { fill: none; stroke: #8c959f; stroke-width: 1; }
.frame { fill: none; stroke: #0969da; stroke-width: 1; stroke-dasharray: 4 3; }
.flow { stroke: #8c959f; stroke-width: 1.5; fill: none; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; fill: #f0f6fc; }
  .small { fill: #9198a1; } .ours { fill: #4493f8; } .peer { fill: #6e7681; } .label { fill: #f0f6fc; }
  .line { stroke: #3d444d; } .reach { stroke: #f0f6fc; } .box { stroke: #6e7681; } .flow { stroke: #6e7681; }
  .curve { stroke: #4493f8; } .frame { stroke: #4493f8; }
}
"""


def root(height: float, title: str, subtitle: str) -> ET.Element:
    """Create an SVG document with title and subtitle."""
    size = {"width": str(WIDTH), "height": f"{height:g}", "viewBox": f"0 0 {WIDTH} {height:g}"}
    made = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img", **size})
    ET.SubElement(made, "title").text = title
    ET.SubElement(made, "style").text = _STYLE
    text(made, 12, 24, title, "title")
    text(made, 12, 42, subtitle, "small")
    return made


def add(parent: ET.Element, tag: str, **attributes: object) -> ET.Element:
    """Add an element; floats are written with one decimal."""
    plain = {name: f"{value:.1f}" if isinstance(value, float) else str(value) for name, value in attributes.items()}
    return ET.SubElement(parent, tag, plain)


def line(parent: ET.Element, start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
    """Draw a straight line."""
    add(parent, "line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], **{"class": kind})


def text(parent: ET.Element, x: float, y: float, words: str, kind: str, anchor: str = "start") -> None:
    """Add text at `x`; `anchor` is start, middle or end."""
    add(parent, "text", x=x, y=y, **{"class": kind, "text-anchor": anchor}).text = words


def finish(made: ET.Element) -> str:
    """Serialize the document."""
    ET.indent(made)
    return ET.tostring(made, encoding="unicode") + "\n"
