"""A process that is suspended for seconds, or gets half a core, drops no callers and is not reported as hanging."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.raw import Raw, post
from tests.serving import Served, serve

STOP_S = 3.0
TURN_S = 0.05
BODY = b'{"text": "a sentence"' + b" " * 1_000_000 + b"}"  # Larger than one read.
HEAD = b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(BODY)


@contextmanager
def stopped(served: Served) -> Iterator[None]:
    """Suspend the process for at least `STOP_S`, during the block."""
    served.process.send_signal(signal.SIGSTOP)
    try:
        yield
        time.sleep(STOP_S)
    finally:
        served.process.send_signal(signal.SIGCONT)


def test_what_comes_while_the_process_is_stopped_is_not_late() -> None:
    with (
        serve(quantization="int8", receive_timeout_s=2) as served,
        Raw(served.client.base_url) as head,
        Raw(served.client.base_url) as body,
        Raw(served.client.base_url) as nothing,
    ):
        head.send(HEAD[:20])
        body.send(HEAD + BODY[:5])
        assert served.client.get("/health").status_code == 200
        with stopped(served):
            sending = [
                threading.Thread(target=caller.send, args=(rest,))
                for caller, rest in ((head, HEAD[20:] + BODY), (body, BODY[5:]), (nothing, post(BODY)))
            ]
            for thread in sending:
                thread.start()
        answers = [caller.answer() for caller in (head, body, nothing)]
        assert [answer and answer.status for answer in answers] == [200] * 3
        for thread in sending:
            thread.join()


def test_stops_are_no_reason_to_restart_or_to_send_no_more() -> None:
    with serve(quantization="int8", request_timeout_s=10) as served:
        embedding: list[int] = []

        def embed() -> None:
            with httpx.Client(base_url=served.client.base_url, timeout=30) as client:
                answer = client.post("/embed", json={"texts": [f"text {number}" for number in range(200)]})
                embedding.append(answer.status_code)

        for _ in range(2):
            caller = threading.Thread(target=embed)
            caller.start()
            with stopped(served):
                pass
            for path in ("/health", "/ready"):
                assert served.client.get(path).status_code == 200
            caller.join()
        assert embedding == [200, 200]


def test_half_a_core_is_enough_to_be_alive() -> None:
    with serve(quantization="int8", threads=1) as served:
        done = threading.Event()

        def halve() -> None:
            while not done.wait(TURN_S):
                served.process.send_signal(signal.SIGSTOP)
                time.sleep(TURN_S)
                served.process.send_signal(signal.SIGCONT)

        halving = threading.Thread(target=halve)
        halving.start()
        try:
            for number in range(20):
                assert served.embed([f"text {number}"] * 8)
                for path in ("/health", "/ready"):
                    assert served.client.get(path).status_code == 200
        finally:
            done.set()
            halving.join()
