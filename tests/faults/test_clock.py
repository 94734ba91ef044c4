"""Changing the system clock has no effect on a running server: durations and deadlines use the monotonic clock."""

import ast
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.raw import Raw
from tests.serving import ROOT, Served, serve

# Log lines and a migration's receipt contain wall-clock timestamps; nothing else depends on them.
TIMESTAMPS = {"telemetry/logs.py", "migrate/job/receipt.py"}
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
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


LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
JUMP_S = 3600


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    """A server whose wall clock is set through a file, with an unchanged monotonic clock."""
    if LIBRARY is None:
        pytest.skip("there is no libfaketime: apt-get install faketime")
    file = tmp_path_factory.mktemp("clock") / "offset"
    file.write_text("+0\n")
    settings = {"ld_preload": LIBRARY, "faketime_timestamp_file": file, "faketime_no_cache": 1}
    with serve(
        quantization="int8", dont_fake_monotonic=1, request_timeout_s=60, receive_timeout_s=60, **settings
    ) as made:
        yield made, file


def test_a_clock_that_jumps_for_an_hour_changes_nothing(clock: tuple[Served, Path], chance: random.Random) -> None:
    served, file = clock
    before = served.embed(["a text"])
    with Raw(served.client.base_url) as idle, Raw(served.client.base_url) as halfway:
        idle.send(HEALTH)
        assert idle.answer()
        halfway.send(HEALTH[:20])
        for _ in range(4):
            offset = chance.choice((-1, 1)) * chance.randint(1, JUMP_S)
            file.write_text(f"{offset:+d}\n")
            for _ in range(5):
                assert served.embed(["a text"]) == before
                assert served.client.get("/health").status_code == 200
            assert served.client.get("/ready").status_code == 200
        halfway.send(HEALTH[20:])
        answer = halfway.answer()
        assert answer
        assert answer.status == 200
        idle.send(HEALTH)
        assert idle.answer()
    sums = {name: value for name, value in served.metrics().items() if "_seconds_sum" in name}
    assert sums
    assert all(0 <= value < JUMP_S / 10 for value in sums.values()), sums


def test_the_server_s_clock_does_jump(clock: tuple[Served, Path]) -> None:
    served, file = clock
    file.write_text("-86400\n")
    off_s = 0.0
    for _ in range(100):  # the server updates its Date header once a second
        date = parsedate_to_datetime(served.client.get("/health").headers["date"])
        off_s = (datetime.now(UTC) - date).total_seconds()
        if off_s > JUMP_S:
            break
        time.sleep(0.1)
    file.write_text("+0\n")
    assert off_s > JUMP_S
