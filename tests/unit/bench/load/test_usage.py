import os
import subprocess
import sys
import time

import psutil
import pytest

from bench.load.usage import growth, measure, watch

HOLD = "import sys; held = bytearray(100_000_000); print('held', flush=True); sys.stdin.read()"


def test_a_process_is_measured() -> None:
    before = measure(os.getpid())
    sum(range(5_000_000))
    with open(os.devnull, "rb"):  # noqa: PTH123 - the open file is counted
        after = measure(os.getpid())
    assert after.cpu_s > before.cpu_s
    assert after.loop_cpu_s <= after.cpu_s
    assert after.files == before.files + 1
    assert after.resident > 1_000_000


def test_a_process_that_is_gone_is_an_error() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with pytest.raises(psutil.Error):
        measure(process.pid)


def test_a_process_is_watched_until_the_block_ends() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdin
        process.stdout.readline()
        with watch(process.pid, 0.0, 1.0) as track:
            while len(track.resident) < 2:
                time.sleep(0.01)
        count = len(track.resident)
        process.stdin.close()
    assert count == len(track.files) >= 2
    assert min(track.resident) > 100_000_000
    assert min(track.files) >= 3


def test_the_watch_ends_with_its_process() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with watch(process.pid, 0.0, 1.0) as track:
        time.sleep(0.05)
    assert track.resident == []


def test_growth_is_from_the_first_third_to_the_last() -> None:
    assert growth([100, 900, 100, 150, 150, 200, 110, 110, 110]) == pytest.approx(0.1)
    assert growth([100] * 9) == 0.0
    assert growth([200, 150, 100]) == -0.5
    assert growth([100, 200]) == growth([]) == 0.0
