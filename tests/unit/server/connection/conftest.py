"""Connections have no threads, so their timeouts are tested on a fake clock."""

import pytest

from tests.unit.fake_clock import BACKEND


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Run the tests of this folder on a fake clock."""
    return BACKEND
