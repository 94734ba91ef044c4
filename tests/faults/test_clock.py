"""A clock that is set while the server runs changes nothing: durations and deadlines use the monotonic one."""

import ast
from pathlib import Path

import pytest

from tests.serving import ROOT

WALL_CLOCK = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow"), ("date", "today")}


@pytest.mark.parametrize("path", sorted((ROOT / "server").rglob("*.py")), ids=lambda path: path.name)
def test_only_log_lines_read_the_wall_clock(path: Path) -> None:
    read = {
        (node.value.id, node.attr)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    assert path.name == "logs.py" or not read & WALL_CLOCK
