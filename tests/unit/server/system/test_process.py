import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from server.system import process


def python(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"import os, signal, sys, threading\nfrom server.system import process\n{program}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_connections_are_held_to_the_files_that_may_be_open(caplog: pytest.LogCaptureFixture) -> None:
    assert process.fit_connections(100, 100 + process.OWN_FILES) == 100
    assert not caplog.messages
    assert process.fit_connections(101, 100 + process.OWN_FILES) == 100
    assert "MAX_CONNECTIONS=101 is lowered to 100" in caplog.text
    assert process.fit_connections(100, 5) == 1


def test_the_file_limit_becomes_the_hard_one() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        assert process.raise_file_limit() in {before[1], sys.maxsize}
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_what_stays_is_not_collected_and_what_comes_is() -> None:
    frozen = "import gc\nprocess.freeze_heap()\nassert gc.get_freeze_count() > 1000\n"
    frozen += "assert gc.get_threshold()[0] >= 100_000\n"
    done = python(frozen + "circle = []\ncircle.append(circle)\ndel circle\nraise SystemExit(gc.collect())")
    assert done.returncode == 1


def test_dying_says_why_and_waits_for_no_thread() -> None:
    done = python("threading.Thread(target=threading.Event().wait).start()\nprocess.die('the engine is gone')")
    assert done.returncode == 4
    assert "the engine is gone" in done.stderr


def test_the_watchdog_ends_a_process_that_hangs_and_no_other() -> None:
    hangs = python("threading.Thread(target=threading.Event().wait).start()\nprocess.die_after(0.1, 'it hangs')")
    assert hangs.returncode == 4
    assert "it hangs" in hangs.stderr
    assert python("process.die_after(60, 'it hangs')").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_insisted_on_ends_the_process_with_its_status(number: signal.Signals) -> None:
    done = python(f"process.exit_on_signals()\ntry: signal.raise_signal({int(number)})\nfinally: print('cleaned up')")
    assert done.returncode == 128 + number
    assert not done.stdout


def test_a_closed_standard_stream_gives_its_number_to_no_file() -> None:
    program = "os.closerange(0, 3)\nprocess.hold_standard_streams()\nraise SystemExit(os.open('/dev/null', 0))"
    assert python(program).returncode == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="it stands in for a full disk")
def test_what_cannot_be_written_changes_no_exit_status() -> None:
    with Path("/dev/full").open("w") as full:
        command = "from server.system import process; process.write_error('x'); process.drop_unwritten()"
        buffered = os.environ | {"PYTHONUNBUFFERED": ""}
        done = subprocess.run(
            [sys.executable, "-c", command], env=buffered, stdout=full, stderr=full, timeout=60, check=False
        )
    assert done.returncode == 0


def test_a_thread_that_steps_back_takes_its_own_threads_with_it_and_nobody_else() -> None:
    program = (
        "def nice(): return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())\n"
        "before, found = nice(), []\n"
        "def inner(): found.append(nice())\n"
        "def outer():\n"
        "    process.lower_priority()\n"
        "    one = threading.Thread(target=inner)\n"
        "    one.start()\n"
        "    one.join()\n"
        "    inner()\n"
        "thread = threading.Thread(target=outer)\n"
        "thread.start()\n"
        "thread.join()\n"
        "assert found == [min(19, before + process.NICENESS)] * 2, found\n"
        "assert nice() == before\n"
    )
    done = python(program)
    assert done.returncode == 0, done.stderr
