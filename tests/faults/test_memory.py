"""Memory of the server process: refused requests leak none, and load is refused before the kernel's OOM killer acts."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import psutil
import pytest

from server.system.memory import REQUEST_BYTES
from tests.faults.capped import SETTINGS, Capped, capped
from tests.raw import Raw, post
from tests.serving import MINILM, Served, refused, serve

pytestmark = pytest.mark.alone

MEGABYTE = 2**20
PAD = b" " * 1_000_000
WHOLE = b'{"text": "a"' + PAD + b"}"
TIMES = 60
# Allowed heap growth after the requests; a server that kept the bodies would grow by a megabyte per request.
KEPT_BYTES = 20 * MEGABYTE
LONG = b'{"text": "' + b"a b " * 32_000 + b'"' + PAD + b"}"
JSON = {"Content-Type": "application/json"}
LONGEST = 131_072


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serve(quantization="int8", threads=1, api_key="key", receive_timeout_s=2) as served:
        served.client.headers["Authorization"] = "Bearer key"
        served.embed(["a text"])
        yield served


def resident(served: Served) -> int:
    return int(psutil.Process(served.process.pid).memory_info().rss)


def kept(served: Served, ask: Callable[[], None], times: int) -> int:
    """Return the growth of resident memory over `times` requests, in bytes."""
    for _ in range(4):
        ask()
    before = resident(served)
    for _ in range(times):
        ask()
    time.sleep(1.5)
    return resident(served) - before


REFUSED: dict[str, dict[str, Any]] = {
    "400": {"content": WHOLE[:-1]},
    "401": {"content": WHOLE, "headers": {"Authorization": "Bearer other"}},
    "404": {"content": WHOLE, "url": "/nothing"},
    "405": {"content": WHOLE, "url": "/info"},
    "413": {"content": b'{"texts": [' + b", ".join([b'"a"'] * 2000) + b"]" + PAD + b"}"},
    "415": {"content": WHOLE, "headers": {"Content-Type": "text/plain"}},
    "422": {"content": b'{"text": "a", "b": "' + PAD + b'"}'},
    "504": {
        "content": b'{"texts": ["' + b"a b " * 32_000 + b'"]' + PAD + b"}",
        "headers": {"x-request-timeout-ms": "1"},
    },
}


def test_refused_bodies_are_not_kept(server: Served) -> None:
    growth = {}
    for status, request in REFUSED.items():

        def ask(status: str = status, given: dict[str, Any] = request) -> None:
            answer = server.client.post(**{"url": "/embed"} | given | {"headers": JSON | given.get("headers", {})})
            assert str(answer.status_code) in (status, "429"), answer.text

        growth[status] = kept(server, ask, TIMES)
    assert max(growth.values()) < KEPT_BYTES, growth


def test_bodies_of_callers_who_hang_up_or_stall_are_not_kept(server: Served) -> None:
    url = server.client.base_url
    request = post(WHOLE, "Authorization: Bearer key")

    def hang_up() -> None:
        with Raw(url) as caller:
            caller.send(request)

    def stall() -> None:
        with ExitStack() as callers:
            stalled = [callers.enter_context(Raw(url)) for _ in range(20)]
            for caller in stalled:
                caller.send(request[:-1])
            assert [getattr(caller.answer(), "status", None) for caller in stalled] == [408] * 20

    assert kept(server, hang_up, TIMES) < KEPT_BYTES
    assert kept(server, stall, 3) < KEPT_BYTES


def test_a_server_without_room_for_its_largest_request_says_how_much_it_needs() -> None:
    status, said = refused(**SETTINGS, memory_mb=150)
    assert status == 3
    assert "150 MB of memory (MEMORY_MB) are too little" in said
    needed = needed_mb(said)
    with serve(**SETTINGS, memory_mb=needed + 32) as served:
        memory = served.client.get("/info").json()["memory"]
        assert memory["limit_bytes"] >= 100_000_000
        assert served.metrics()["embedding_memory_budget_bytes"] == memory["limit_bytes"]
    assert any(f"of {needed + 32} MB (MEMORY_MB)" in line for line in served.lines)


def needed_mb(said: str) -> int:
    match = re.search(r"need (\d+) MB", said)
    assert match, said
    return int(match[1])


def largest() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the largest allowed request of each kind, as route and body."""
    short = [f"text {number}" for number in range(1024)]
    ids = [[101, *[999] * (LONGEST - 2), 102]] * 15
    return {
        "texts": ("/embed", {"texts": short}),
        "characters": ("/embed", {"texts": ["!" * LONGEST] * 60}),
        "wide characters": ("/embed", {"texts": ["a" * 130_000 + "\U0001f600"] * 61}),
        "tokens": ("/embed", {"texts": ["\uff01" * LONGEST] * 6, "truncate": "START"}),
        "token ids": ("/v1/embeddings", {"input": ids, "model": MINILM, "encoding_format": "base64"}),
        "base64": ("/v1/embeddings", {"input": short, "model": MINILM, "encoding_format": "base64"}),
        "sentences": ("/similarity", {"inputs": {"source_sentence": "a", "sentences": short[1:]}}),
        "pieces": ("/tokenize", {"inputs": ["\uff01" * (LONGEST - 100)] * 4}),
    }


@pytest.mark.timeout(300)
def test_the_largest_requests_are_answered_under_110_percent_of_the_need() -> None:
    _, said = refused(**SETTINGS, memory_mb=150)
    with capped(round(1.1 * needed_mb(said))) as server:
        for kind, (path, body) in largest().items():
            content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
            answer = server.served.client.post(path, content=content, headers=JSON)
            assert answer.status_code == 200, (kind, answer.text[:200])
            assert server.peak_bytes < server.limit, kind
        all_at_once(server)


def all_at_once(server: Capped) -> None:
    """Send several of each concurrently: each is answered or refused, and the server survives."""
    bodies = [
        (path, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())
        for path, body in largest().values()
        for _ in range(3)
    ]

    def ask(request: tuple[str, bytes]) -> int:
        with httpx.Client(base_url=server.served.client.base_url, timeout=120) as client:
            return client.post(request[0], content=request[1], headers=JSON).status_code

    with ThreadPoolExecutor(len(bodies)) as pool:
        statuses = set(pool.map(ask, bodies))
    assert statuses <= {200, 429, 504}
    assert server.peak_bytes < server.limit
    assert server.served.embed(["a text"])


def test_a_thousand_callers_that_stall_hold_no_more_than_the_budget() -> None:
    head = b"".join(b"x-%d: %b\r\n" % (number, b"a" * 3000) for number in range(10))
    stalled = b"POST /embed HTTP/1.1\r\nHost: x\r\n" + head + b"Content-Length: 70000\r\n\r\n" + b" " * 64_000
    with capped(460) as server, ExitStack() as callers:
        budget = server.served.client.get("/info").json()["memory"]["limit_bytes"]
        for _ in range(round(1.15 * budget / (len(stalled) + REQUEST_BYTES))):
            callers.enter_context(Raw(server.served.client.base_url)).send(stalled)
        assert 0.8 * budget < most_held(server.served) <= budget
        assert server.peak_bytes < server.limit
        assert server.served.client.get("/health").status_code == 200
        callers.close()
        assert server.served.shows(**{'embedding_memory_held_bytes{kind="requests"}': 0})
        assert server.served.embed(["a text"])


def most_held(served: Served) -> float:
    """Return the peak memory held by connections and requests within two seconds."""
    peak = 0.0
    for _ in range(20):
        held = served.metrics()
        peak = max(peak, sum(held[name] for name in held if name.startswith("embedding_memory_held_bytes")))
        time.sleep(0.1)
    return peak


def test_bodies_sent_ahead_are_not_taken_into_memory() -> None:
    with capped(460, max_queue_tokens=600_000) as server, ExitStack() as callers:
        before = server.resident_bytes
        busy = post(json.dumps({"texts": ["word " * 300] * 200}).encode())
        ahead = busy + 62 * post(b" " * 60_000)
        for _ in range(20):
            caller = callers.enter_context(Raw(server.served.client.base_url))
            sending = threading.Thread(target=caller.send, args=(ahead,), daemon=True)
            sending.start()
        time.sleep(3)
        assert server.resident_bytes - before < 0.5 * 20 * len(ahead)


def test_a_body_of_empty_lists_is_refused_before_it_is_built(server: Served) -> None:
    body = b'{"inputs": [' + b"[]," * 2_660_000 + b"[]]}"
    before = resident(server)
    answer = server.client.post("/embed", content=body, headers=JSON)
    assert answer.status_code == 413
    assert "more than 1024 texts" in answer.json()["error"]
    assert resident(server) - before < 40 * MEGABYTE
