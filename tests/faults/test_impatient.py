"""Callers with short timeouts on an overloaded server: requests that would miss their deadline are refused."""

import select
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.faults.test_engine_fails import Faulty, faulty
from tests.raw import Answer, Raw, post

pytestmark = pytest.mark.alone

WAIT_S = 4
WORDS = 100


def part_of_the_queue(server: Faulty, share: float) -> int:
    """Return how many texts of about 100 tokens fill that share of the queue, which holds five seconds of work."""
    tokens: int = server.served.client.get("/info").json()["limits"]["queue_tokens"]
    return max(1, round(share * tokens / WORDS))


def bulk(number: int, texts: int) -> bytes:
    """Return a body of `texts` texts that are distinct for each `number`."""
    words = b"word " * (WORDS - 2)
    return b'{"texts": [%s]}' % b", ".join(b'"%d %d %s"' % (number, text, words) for text in range(texts))


@contextmanager
def callers(server: Faulty, number: int) -> Iterator[list[Raw]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Raw(server.served.client.base_url)) for _ in range(number)]


def answered(asking: list[Raw]) -> list[Answer]:
    """Return the responses received so far."""
    readable, _, _ = select.select([caller.socket for caller in asking], [], [], 0)
    answers = [caller.answer() for caller in asking if caller.socket in readable]
    return [answer for answer in answers if answer]


def test_what_cannot_be_computed_before_its_deadline_is_refused_at_once(tmp_path: Path) -> None:
    with faulty(tmp_path, streams=1) as server, callers(server, 20) as asking:
        server("hang")
        texts = part_of_the_queue(server, 0.05)
        for number, caller in enumerate(asking):
            caller.send(post(bulk(number, texts), f"x-request-timeout-ms: {1000 * WAIT_S}"))
        assert server.served.shows(**{'embedding_overloaded_total{cause="deadline"}': 1})
        # The engine hangs, so admitted requests get 504 at their deadline; the others are refused before that.
        refused = [answer for answer in answered(asking) if answer.status != 504]
        assert refused
        for answer in refused:
            assert answer.status == 429
            assert 1 <= int(answer.headers["retry-after"]) <= 60
            assert "deadline" in answer.error["error"]
        assert server.served.metrics()['embedding_overloaded_total{cause="room"}'] == 0
        assert server.served.client.get("/health").status_code == 200
        server("")


def test_the_patience_of_callers_who_hang_up_is_learned_and_bounds_the_queue(tmp_path: Path) -> None:
    with faulty(tmp_path, streams=1) as server:
        server("hang")
        assert server.served.metrics()["embedding_patience_seconds"] == 60
        with callers(server, 12) as impatient:
            for number, caller in enumerate(impatient):
                caller.send(post(b'{"text": "text %d"}' % number))
            assert server.served.shows(embedding_queue_requests=12)
            time.sleep(1)
        assert server.served.shows(embedding_queue_requests=0)
        assert 0.5 < server.served.metrics()["embedding_patience_seconds"] < 10
        with callers(server, 30) as patient:
            texts = part_of_the_queue(server, 0.03)
            for number, caller in enumerate(patient):
                caller.send(post(bulk(number, texts)))
            assert server.served.shows(**{'embedding_overloaded_total{cause="patience"}': 1})
            assert {answer.status for answer in answered(patient)} == {429}
        server("")
