"""Fixtures shared by several folders."""

import os
import random
import signal
from collections.abc import Iterator

import hypothesis
import pytest

from server import secret
from tests.serving import Served, serve

# Without a deadline: a busy machine must not fail a test.
EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "100"))
hypothesis.settings.register_profile("untimed", deadline=None, max_examples=EXAMPLES)
hypothesis.settings.load_profile("untimed")
# With fewer examples, tests that try all moments of a job or all characters try every STRIDE-th.
STRIDE = max(1, 100 // EXAMPLES)

# Background jobs of a shell ignore SIGINT, which child processes would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Under `make test`, a make that a test starts would print the directories it enters.
for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
    os.environ.pop(name, None)

# `make reliability` runs every fault test FAULT_RUNS times, each with a different seed.
RUNS = int(os.environ.get("FAULT_RUNS", "1"))
SEED = int(os.environ.get("FAULT_SEED", "1"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat every collected test FAULT_RUNS times."""
    if RUNS > 1:
        metafunc.fixturenames.append("fault_run")
        metafunc.parametrize("fault_run", range(RUNS), scope="session")


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """A random generator seeded by FAULT_SEED, test and run."""
    return random.Random(f"{SEED} {request.node.nodeid}")  # noqa: S311 - not used for security


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of every `async def test_…`."""
    return "asyncio"


@pytest.fixture(autouse=True)
def no_secrets() -> Iterator[None]:
    """Forget the secrets of each test, so that they are not masked in the output of later tests."""
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
