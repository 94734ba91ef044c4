"""What the tests of several processes share."""

import fcntl
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def only_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Wait until no other process of this run uses Ray, which would join another's cluster."""
    with (tmp_path_factory.getbasetemp().parent / "ray.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
