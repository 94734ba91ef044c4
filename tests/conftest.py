"""Fixtures that several folders share."""

import os
import random
import signal
from collections.abc import Iterator

import hypothesis
import pytest

from server import secret
from tests.serving import Served, serve

# A busy machine is no fault of the code.
EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "100"))
hypothesis.settings.register_profile("untimed", deadline=None, max_examples=EXAMPLES)
hypothesis.settings.load_profile("untimed")

# A shell has its background jobs ignore SIGINT, and so do their child processes unless it is caught here.
signal.signal(signal.SIGINT, signal.default_int_handler)

# `make reliability` has every test of a fault run so many times, each with another seed.
RUNS = int(os.environ.get("FAULT_RUNS", "1"))
SEED = int(os.environ.get("FAULT_SEED", "1"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat every test that is collected as often as FAULT_RUNS says."""
    if RUNS > 1:
        metafunc.fixturenames.append("fault_run")
        metafunc.parametrize("fault_run", range(RUNS), scope="session")


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """What a test leaves to chance, the same for one FAULT_SEED, test and run."""
    return random.Random(f"{SEED} {request.node.nodeid}")  # noqa: S311 - no secret hangs on it


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of every `async def test_…`."""
    return "asyncio"


@pytest.fixture(autouse=True)
def no_secrets() -> Iterator[None]:
    """Forget the secrets of each test, which would be masked in the texts of the next ones."""
    yield
    secret.forget()


@pytest.fixture(scope="session")
def int8() -> Iterator[Served]:
    """all-MiniLM-L6-v2 in int8 on a real socket."""
    with serve(quantization="int8") as served:
        yield served


@pytest.fixture(scope="session")
def fp32() -> Iterator[Served]:
    """all-MiniLM-L6-v2 in fp32 on a real socket."""
    with serve(quantization="fp32") as served:
        yield served
