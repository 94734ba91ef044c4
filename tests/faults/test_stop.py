"""Stopping: accepted work is answered, and the process ends by itself."""

import signal
from concurrent.futures import ThreadPoolExecutor

from tests.serving import serve


def test_sigterm_finishes_what_was_accepted() -> None:
    texts = [f"text number {i} " + "with some more words " * 20 for i in range(200)]
    with serve(quantization="int8") as served, ThreadPoolExecutor(8) as pool:
        served.embed(["warm"])
        answers = [pool.submit(served.client.post, "/embed", json={"texts": texts}) for _ in range(8)]
        while not any(answer.running() for answer in answers):
            pass
        served.client.get("/health")
        served.process.send_signal(signal.SIGTERM)
        done = [answer.result() for answer in answers if not answer.exception()]
        assert served.process.wait(60) == 0
    assert done
    assert {answer.status_code for answer in done} <= {200, 429, 503}
    assert 200 in {answer.status_code for answer in done}
    assert all(len(answer.json()["embeddings"]) == 200 for answer in done if answer.status_code == 200)


def test_a_killed_server_starts_again() -> None:
    with serve(quantization="int8") as served:
        served.process.kill()
        served.process.wait()
    with serve(quantization="int8") as served:
        assert served.client.get("/ready").status_code == 200
