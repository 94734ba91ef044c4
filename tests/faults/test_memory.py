"""Memory under callers who send much: bounded in all, and given back once they are answered."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.serving import Served, refused, serve

MEGABYTE = 2**20
# Enough for the warm server of the small model, the peak of one request, and one of the largest.
GRANTED_MB = 512
FEW = 200
KEPT = 20 * MEGABYTE


@pytest.fixture(scope="module")
def bounded() -> Iterator[Served]:
    with serve(quantization="int8", threads=1, memory_mb=GRANTED_MB, receive_timeout_s=3) as served:
        served.embed(["warm"])
        yield served


def resident(served: Served) -> int:
    size: int = served.client.get("/info").json()["resident_bytes"]
    return size


def peak(served: Served) -> int:
    """The most that the process ever had in memory, in bytes."""
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def upload(served: Served, sent: int) -> socket.socket:
    """Begin a body of 7.9 MB, and stall after `sent` bytes or where the server reads no more."""
    connection = socket.create_connection((served.client.base_url.host, served.client.base_url.port or 80))
    connection.settimeout(1)
    head = b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 7900000\r\n\r\n"
    with suppress(OSError):  # refused meanwhile, or not read: both bound what is held
        connection.sendall(head + b" " * sent)
    return connection


@pytest.mark.parametrize(
    ("status", "body"),
    [(422, b'{"text": "a", "unknown": "%b"}'), (400, b'{"text": "%b"'), (404, b'{"input": "%b", "model": "other"}')],
    ids=["422", "400", "404"],
)
def test_a_refusal_keeps_nothing(bounded: Served, status: int, body: bytes) -> None:
    path = "/v1/embeddings" if status == 404 else "/embed"
    raw = body % (b"x" * (100_000 if status == 404 else 1_000_000))
    headers = {"Content-Type": "application/json"}
    for _ in range(20):
        bounded.client.post(path, content=raw, headers=headers)
    before = resident(bounded)
    answers = {bounded.client.post(path, content=raw, headers=headers).status_code for _ in range(FEW)}
    assert answers == {status}
    assert resident(bounded) - before < KEPT


def test_bodies_that_stall_are_bounded_together_and_given_back(bounded: Served) -> None:
    before = resident(bounded)
    with ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(upload(bounded, 7_800_000))
        assert bounded.client.get("/health").status_code == 200
        assert peak(bounded) < GRANTED_MB * MEGABYTE
    deadline = time.monotonic() + 30
    while resident(bounded) - before > 2 * KEPT and time.monotonic() < deadline:
        time.sleep(0.5)
    assert resident(bounded) - before <= 2 * KEPT
    assert bounded.embed(["served again"])


def test_the_longest_texts_that_are_legal_stay_within_what_is_granted(bounded: Served) -> None:
    vectors = bounded.embed(["!" * 131_072] * 60)
    assert len(vectors) == 60
    assert peak(bounded) < GRANTED_MB * MEGABYTE


def test_lists_of_nothing_are_refused_before_they_are_built(bounded: Served) -> None:
    before = peak(bounded)
    raw = b'{"inputs": [' + b"[], " * 1_900_000 + b"[]]}"
    answer = bounded.client.post("/embed", content=raw, headers={"Content-Type": "application/json"})
    assert answer.status_code in (413, 422), answer.text
    assert peak(bounded) - before < 60 * MEGABYTE


def test_what_is_held_is_told(bounded: Served) -> None:
    memory = bounded.client.get("/info").json()["memory"]
    assert 0 < memory["limit_bytes"] < GRANTED_MB * MEGABYTE
    assert any("memory for requests" in line for line in bounded.lines)


def test_a_start_is_refused_where_the_largest_request_would_not_fit() -> None:
    status, said = refused(quantization="int8", memory_mb=96)
    assert status == 3
    assert "MAX_BODY_BYTES" in said
    assert "MEMORY_MB" in said
