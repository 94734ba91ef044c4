"""Fixtures that several folders share."""

from collections.abc import Iterator

import pytest

from tests.serving import Served, serve


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
