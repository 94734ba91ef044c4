"""Fuzzes HTTP with mutated requests, whole, in fragments and pipelined after a valid one.

Every response must be valid HTTP and not a server error. For a longer run with another seed:

    FUZZ_SECONDS=600 FUZZ_SEED=7 .venv/bin/python -m pytest tests/faults/test_fuzz_http.py

A failure names its seed and the number of the request.
"""

import os
import random
import time
from collections.abc import Callable, Iterator

import h11
import pytest

from tests.mutations import TEXT, mutated, posted
from tests.raw import Raw
from tests.serving import Served, serve

SECONDS = float(os.environ.get("FUZZ_SECONDS", "30"))
SEED = int(os.environ.get("FUZZ_SEED", "12"))
GOOD = posted(TEXT)
# Server errors that are legitimate: an unknown transfer coding or HTTP version, and overload.
DECLINED = {501, 503, 505}
COMPLAINTS = ("Traceback", "Exception", "could not be taken", "failed", "lost")


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Served]:
    """A server that must still work, and have logged no error, after all requests."""
    with serve(quantization="int8", receive_timeout_s=5) as served:
        before = served.embed(["a"])
        yield served
        assert served.client.get("/ready").status_code == 200
        assert served.embed(["a"]) == before
        assert served.shows(embedding_queue_requests=0)
    assert not [line for line in served.lines if any(word in line for word in COMPLAINTS)]


def test_mutated_requests(fuzzed: Served, record_property: Callable[[str, object], None]) -> None:
    with Raw(fuzzed.client.base_url) as caller:
        caller.send(GOOD)
        caller.half_close()
        ((_, vector),) = judged(rest(caller))
    deadline, number = time.monotonic() + SECONDS, 0
    while time.monotonic() < deadline:
        attack(fuzzed, f"{SEED}:{number}", vector)
        number += 1
    record_property("figures", f"{number:,} mutated requests, seed {SEED}")
    assert number > 10 * SECONDS


def attack(served: Served, seed: str, vector: bytes) -> None:
    """Send the mutated request derived from `seed`, and check the responses."""
    chance = random.Random(seed)  # noqa: S311 - reproducible, not used for security
    sent, behind, size = mutated(chance), chance.random() < 0.5, chance.choice([1, 1, 7, 100, 1_000_000])
    whole = GOOD + sent if behind else sent
    said = b""
    try:
        with Raw(served.client.base_url) as caller:
            for at in range(0, len(whole), max(size, len(whole) // 500)):
                caller.send(whole[at : at + max(size, len(whole) // 500)])
            if chance.random() < 0.02:
                return  # Hangs up without reading the response.
            caller.half_close()
            said = rest(caller)
        answers = judged(said)
        assert answers or not whole.strip(b"\r\n"), "there is no answer"
        assert all(status < 500 or status in DECLINED for status, _ in answers), "the server failed"
        assert not behind or answers[0] == (200, vector), "the good request has lost its answer"
    except (AssertionError, h11.RemoteProtocolError, TimeoutError) as error:
        raise AssertionError(f"seed {seed}: {error}\nsent {whole[:2000]!r}\ngot {said[:2000]!r}") from error


def rest(caller: Raw) -> bytes:
    """Read until the server closes the connection."""
    said = b""
    try:
        while chunk := caller.socket.recv(65_536):
            said += chunk
    except ConnectionResetError:
        pass
    return said


def judged(said: bytes) -> list[tuple[int, bytes]]:
    """Parse the final responses with h11 into statuses and bodies; h11 raises if they are not valid HTTP."""
    answers: list[tuple[int, bytes]] = []
    while said:
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
        client.send(h11.EndOfMessage())
        client.receive_data(said)
        status, body = 0, b""
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            assert event is not h11.NEED_DATA, "an answer is not whole"
            if isinstance(event, h11.Response):
                status = event.status_code
                last = (b"connection", b"close") in event.headers
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
        answers.append((status, body))
        said = client.trailing_data[0]
        assert not (said and last), "something comes after the last answer"
    return answers
