"""A clock that is set while the server runs changes nothing: durations and deadlines use the monotonic one."""

import ast
from pathlib import Path

import pytest

from tests.serving import ROOT

# Log lines and a migration's receipt say when something happened; nothing is computed from what they read.
TIMESTAMPS = {"logs.py", "migrate/receipt.py"}
WALL_CLOCK = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow"), ("date", "today")}


SERVER = ROOT / "server"


@pytest.mark.parametrize("path", sorted(SERVER.rglob("*.py")), ids=lambda path: str(path.relative_to(SERVER)))
def test_only_timestamps_for_people_read_the_wall_clock(path: Path) -> None:
    read = {
        (node.value.id, node.attr)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    assert str(path.relative_to(SERVER)) in TIMESTAMPS or not read & WALL_CLOCK
