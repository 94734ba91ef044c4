"""Callers that hang up while their texts wait or are computed: nothing of theirs is computed in vain or left behind."""

import re
import time
from pathlib import Path

from tests.faults.test_engine_fails import faulty
from tests.raw import Raw, post
from tests.serving import Served


def test_what_waited_is_not_computed_and_nothing_is_left_in_the_queue(tmp_path: Path) -> None:
    with faulty(tmp_path) as server:
        server("hang")
        running = Raw(server.served.client.base_url)
        running.send(post(b'{"text": "the one that runs"}'))
        assert until(server.served, embedding_queue_requests=1)
        waiting = [Raw(server.served.client.base_url) for _ in range(20)]
        for number, caller in enumerate(waiting):
            caller.send(post(b'{"texts": ["text %d", "another %d"]}' % (number, number)))
        assert until(server.served, embedding_queue_requests=21)
        for caller in (running, *waiting):
            with caller:
                pass
        assert until(server.served, embedding_queue_requests=0, embedding_queue_tokens=0)
        server("")
        assert server.served.embed(["whoever comes next"])
        assert metrics(server.served)["embedding_batch_texts_sum"] == 2
        assert metrics(server.served)['embedding_requests_total{code="499",route="/embed"}'] == 21


def until(served: Served, **wanted: float) -> bool:
    """Wait until these metrics have these values."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = metrics(served)
        if all(found[name] == value for name, value in wanted.items()):
            return True
        time.sleep(0.1)
    return False


def metrics(served: Served) -> dict[str, float]:
    """Every series and its value."""
    text = served.client.get("/metrics").text
    return {name: float(value) for name, value in re.findall(r"^([^#\s]\S*) (\S+)$", text, re.MULTILINE)}
