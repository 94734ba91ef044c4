"""Fixtures that several folders share."""

import signal
from collections.abc import Iterator

import hypothesis
import pytest

from server import secret
from tests.serving import Served, serve

# A busy machine is no fault of the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# A shell has its background jobs ignore SIGINT, and so do their child processes unless it is caught here.
signal.signal(signal.SIGINT, signal.default_int_handler)


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
