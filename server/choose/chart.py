"""The chart of a choice: the loss of each scheme with its interval, beside the budget."""

from server import svg
from server.choose.report import ChoiceReport

_LEFT, _RIGHT, _TOP, _PITCH, _BOTTOM = 350, 40, 64, 22, 44
_TICKS = 4


def draw(report: ChoiceReport) -> str:
    """Return an SVG: a row for each scheme that is worth showing, the chosen one in blue."""
    rows = report.shown
    reach = max(*(one.losses[report.measure].high for one in rows), 1.2 * report.budget)
    floor = _TOP + _PITCH * len(rows)
    title = f"{report.model}: what of {report.measure} is lost, on the user's own texts"
    confidence = f"bars: {report.confidence:g} % intervals"
    root = svg.root(floor + _BOTTOM, title, f"{report.queries:,} queries over {report.texts:,} texts; {confidence}")

    def x(loss: float) -> float:
        return _LEFT + (svg.WIDTH - _LEFT - _RIGHT) * min(max(loss, 0.0), reach) / reach

    for tick in range(_TICKS + 1):
        at = reach * tick / _TICKS
        svg.line(root, (x(at), _TOP - 8), (x(at), floor), "line")
        svg.text(root, x(at), floor + 16, f"{at:.2%}", "small", "middle")
    svg.line(root, (x(report.budget), _TOP - 8), (x(report.budget), floor), "curve")
    svg.text(root, x(report.budget), floor + 34, f"budget {report.budget * 100:g} %", "ours", "middle")
    for place, one in enumerate(rows):
        middle, loss = _TOP + _PITCH * place + 6, one.losses[report.measure]
        kind = "ours" if one is report.chosen else "label"
        svg.text(root, _LEFT - 10, middle + 4, f"{one.scheme}, {one.scheme.bytes:,} bytes", kind, "end")
        svg.line(root, (x(loss.low), middle), (x(loss.high), middle), "reach")
        svg.add(root, "circle", cx=x(loss.mean), cy=middle, r=4, **{"class": "ours" if kind == "ours" else "peer"})
    return svg.finish(root)
