import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from bench.load.call import ONE
from bench.load.caller import Caller
from bench.load.corpus import make
from bench.load.load import LoadScenario
from bench.load.service import LoadedService, ServiceCommand
from bench.process import WorkerError

pytestmark = pytest.mark.whole

SERVER = Path(__file__).with_name("small_server.py")
SERVICE = ServiceCommand("small", (sys.executable, str(SERVER), "{port}"), {}, ONE)
CORPORA = {"mixed": make(["one", "two"], (4, 8), 2)}


def test_loads_run_beside_each_other_and_cpu_is_told() -> None:
    with LoadedService(SERVICE) as service, Caller(CORPORA) as caller:
        run = caller.run(
            service, LoadScenario("mixed", 0.3, 0.0, rate=20.0), LoadScenario("mixed", 0.3, 0.0, rate=40.0)
        )
    few, many = run.loads
    assert few.good == few.planned < many.planned == many.good
    assert run.texts == few.good + many.good
    assert run.client_cpu_s > 0
    # CPU time is counted in ticks, so each reading may be off by one.
    assert run.service_cpu_s >= run.loop_cpu_s - 2 / os.sysconf("SC_CLK_TCK")
    assert run.loop_cpu_s >= 0
    assert run.idle == 0


def test_a_client_that_fails_is_an_error_and_may_be_asked_again() -> None:
    with LoadedService(SERVICE) as service, Caller(CORPORA) as caller:
        with pytest.raises(WorkerError, match="client: `run` failed: KeyError"):
            caller.run(service, LoadScenario("nothing", 0.1, clients=1))
        assert caller.run(service, LoadScenario("mixed", 0.1, 0.0, clients=1)).loads[0].planned


def test_a_service_that_is_gone_is_an_error() -> None:
    with LoadedService(SERVICE) as service, Caller(CORPORA) as caller:
        psutil.Process(service.pid).kill()
        while psutil.Process(service.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        with pytest.raises(WorkerError, match="small: was killed"):
            caller.run(service, LoadScenario("mixed", 0.1, clients=1))
