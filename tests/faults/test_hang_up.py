"""Callers that hang up: their queued texts are not computed, and nothing remains in the queue."""

from pathlib import Path

from tests.faults.test_engine_fails import faulty
from tests.raw import Raw, post


def test_what_waited_is_not_computed_and_nothing_is_left_in_the_queue(tmp_path: Path) -> None:
    with faulty(tmp_path, streams=1) as server:
        server("hang")
        running = Raw(server.served.client.base_url)
        running.send(post(b'{"text": "the one that runs"}'))
        assert server.served.shows(embedding_queue_requests=1)
        waiting = [Raw(server.served.client.base_url) for _ in range(20)]
        for number, caller in enumerate(waiting):
            caller.send(post(b'{"texts": ["text %d", "another %d"]}' % (number, number)))
        assert server.served.shows(embedding_queue_requests=21)
        for caller in (running, *waiting):
            with caller:
                pass
        assert server.served.shows(embedding_queue_requests=0, embedding_queue_tokens=0)
        server("")
        assert server.served.embed(["whoever comes next"])
        assert server.served.metrics()["embedding_batch_texts_sum"] == 2
        assert server.served.metrics()['embedding_requests_total{code="499",route="/embed"}'] == 21
