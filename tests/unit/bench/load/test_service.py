"""A service's life cycle, with small programs as servers."""

import resource
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bench.load.service import LoadedService, ServiceCommand
from bench.process import ROOT, WorkerError

pytestmark = pytest.mark.whole

SERVER = Path(__file__).with_name("small_server.py")


def small(*arguments: str) -> ServiceCommand:
    return ServiceCommand("small", (sys.executable, str(SERVER), "{port}", *arguments), {"MARK": "on {port}"})


def test_a_service_answers_is_measured_and_is_stopped() -> None:
    with LoadedService(small()) as service:
        pid = service.pid
        assert service.info()["mark"] == f"on {service.port}"
        assert service.usage().resident > 1_000_000
        assert service.computed_tokens() == 2500
    assert not psutil.pid_exists(pid)


def test_a_service_may_open_as_many_files_as_the_system_allows() -> None:
    with LoadedService(small()) as service:
        assert service.info()["files"] == resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def test_one_that_ignores_the_signal_is_stopped_too() -> None:
    service = LoadedService(small("deaf"))
    pid = service.pid
    service.close(0.2)
    assert not psutil.pid_exists(pid)


def test_one_that_ends_is_an_error_with_its_last_words() -> None:
    with pytest.raises(WorkerError, match="small: ended with status 3; its last line: no model here"):
        LoadedService(small("refuse"))


def test_one_that_never_answers_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.load.service.START_S", 0.5)
    with pytest.raises(WorkerError, match="small: did not answer within"):
        LoadedService(small("busy"))


def test_one_without_metrics_or_information() -> None:
    with LoadedService(small("bare")) as service:
        assert service.computed_tokens() == 0
        with pytest.raises(WorkerError, match="GET /info"):
            service.info()


def test_a_service_does_not_outlive_a_harness_that_is_killed() -> None:
    program = (
        "from tests.unit.bench.load.test_service import small\nfrom bench.load.service import LoadedService\n"
        "service = LoadedService(small())\nprint(service.pid, flush=True)\ninput()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as harness:
        assert harness.stdout
        orphan = psutil.Process(int(harness.stdout.readline()))
        harness.kill()
    gone, alive = psutil.wait_procs([orphan], timeout=10)
    assert gone
    assert not alive
