"""Callers who do not wait for long, on a server that has more to do than it can: it works for none in vain."""

import time
from pathlib import Path

from tests.faults.test_engine_fails import Faulty, faulty
from tests.raw import Raw, post

WAIT_S = 4
WORDS = 100
# Between two requests: of many that are tokenized at once, room in the queue ends first.
APART_S = 0.15


def part_of_the_queue(server: Faulty, share: float) -> int:
    """How many texts of some 100 tokens are that share of the queue, which holds ten seconds of work."""
    tokens: int = server.served.client.get("/info").json()["limits"]["queue_tokens"]
    return max(1, round(share * tokens / WORDS))


def bulk(number: int, texts: int) -> bytes:
    """A body of so many texts, none like that of another number."""
    words = b"word " * (WORDS - 2)
    return b'{"texts": [%s]}' % b", ".join(b'"%d %d %s"' % (number, text, words) for text in range(texts))


def test_what_cannot_be_computed_before_its_deadline_is_refused_at_once(tmp_path: Path) -> None:
    with faulty(tmp_path, streams=1) as server:
        server("hang")
        texts = part_of_the_queue(server, 0.05)
        header = f"x-request-timeout-ms: {1000 * WAIT_S}"
        callers = [Raw(server.served.client.base_url) for _ in range(20)]
        for number, caller in enumerate(callers):
            began = time.monotonic()
            caller.send(post(bulk(number, texts), header))
            time.sleep(APART_S)
        refused = callers[-1].answer()
        assert refused
        assert time.monotonic() - began < WAIT_S
        assert refused.status == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert "deadline" in refused.error["error"]
        counted = server.served.metrics()
        assert counted['embedding_overloaded_total{cause="deadline"}'] >= 1
        assert counted['embedding_overloaded_total{cause="room"}'] == 0
        assert server.served.client.get("/health").status_code == 200
        for caller in callers:
            with caller:
                pass
        server("")


def test_the_patience_of_callers_who_hang_up_is_learned_and_bounds_the_queue(tmp_path: Path) -> None:
    with faulty(tmp_path, streams=1) as server:
        server("hang")
        assert server.served.metrics()["embedding_patience_seconds"] == 60
        impatient = [Raw(server.served.client.base_url) for _ in range(12)]
        for number, caller in enumerate(impatient):
            caller.send(post(b'{"text": "text %d"}' % number))
        assert server.served.shows(embedding_queue_requests=12)
        time.sleep(1)
        for caller in impatient:
            with caller:
                pass
        assert server.served.shows(embedding_queue_requests=0)
        assert 0.5 < server.served.metrics()["embedding_patience_seconds"] < 10
        patient = [Raw(server.served.client.base_url) for _ in range(30)]
        texts = part_of_the_queue(server, 0.03)
        for number, caller in enumerate(patient):
            caller.send(post(bulk(number, texts)))
            time.sleep(APART_S)
        refused = patient[-1].answer()
        assert refused
        assert refused.status == 429
        assert server.served.metrics()['embedding_overloaded_total{cause="patience"}'] >= 1
        for caller in patient:
            with caller:
                pass
        server("")
