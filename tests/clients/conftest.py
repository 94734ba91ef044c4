"""A server with an API key, and no other network access."""

import os
import socket
from collections.abc import Iterator
from typing import Any

# Before the first import of a client: disable telemetry.
os.environ |= {"HF_HUB_DISABLE_TELEMETRY": "1", "ANONYMIZED_TELEMETRY": "False"}

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.serving import Served, serve

KEY = "a-key-for-tests"


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail clients that connect to other machines."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        assert self.family == socket.AF_UNIX or address[0] == "127.0.0.1", f"a client called {address}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """all-MiniLM-L6-v2 in fp32 with an API key."""
    with serve(quantization="fp32", api_key=KEY) as server:
        server.client.headers["authorization"] = f"Bearer {KEY}"
        yield server


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Texts of various lengths, more than any client's default batch size."""
    return [
        f"Text {number} " + "says something about rivers, cats and contracts. " * (number % 7) for number in range(70)
    ]


@pytest.fixture(scope="session")
def expected(served: Served, texts: list[str]) -> NDArray[np.float32]:
    """The vectors of `texts` from `/embed`."""
    return np.array(served.embed(texts), np.float32)


def same(vectors: object, expected: NDArray[np.float32]) -> None:
    """Assert that vectors equal the expected ones up to rounding, which depends on the batch size."""
    actual = np.array(vectors, np.float32)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, atol=1e-5)
