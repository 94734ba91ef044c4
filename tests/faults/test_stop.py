"""Shutdown: accepted work is answered, /ready returns 503 at once, and the process ends even if something hangs."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.raw import Raw, post
from tests.serving import Served, serve

READY = b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"
IN_FLIGHT = 200
PATCHED = """
import threading
from server import __main__ as cli
from server import lifecycle
from server.inference.engine import OnnxEngine

class Server(lifecycle.Server):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        OnnxEngine.embed = wait_and_embed  # only now, after the warm-up

embed = OnnxEngine.embed

def wait_and_embed(self, sequences):
    threading.Event().wait({seconds})
    return embed(self, sequences)

lifecycle.Server = Server
lifecycle.STOP_MARGIN_S = 1
raise SystemExit(cli.main([]))
"""
SLOW = PATCHED.format(seconds=1)
HANGING = PATCHED.format(seconds="")


@contextmanager
def in_flight(served: Served) -> Iterator[list[Raw]]:
    """Callers that wait for a slow batch, once the first of them has its response."""
    with ExitStack() as open_ones:
        callers = [open_ones.enter_context(Raw(served.client.base_url)) for _ in range(IN_FLIGHT)]
        for number, caller in enumerate(callers):
            caller.send(post(f'{{"text": "text {number}"}}'.encode()))
        assert callers[0].answer()
        yield callers[1:]


def test_sigterm_turns_ready_off_at_once_and_answers_all_that_was_accepted() -> None:
    with serve("-c", SLOW, quantization="int8") as served, Raw(served.client.base_url) as prober:
        assert ready(prober) == 200
        with in_flight(served) as callers:
            served.process.send_signal(signal.SIGTERM)
            assert turns_unready(served)
            assert ready(prober) == 503
            answers = [caller.answer() for caller in callers]
        assert {answer.status for answer in answers if answer} == {200}
        assert None not in answers
        assert served.process.wait(60) == 0
        assert not [line for line in served.lines if "Traceback" in line or "Exception" in line]


def turns_unready(served: Served) -> bool:
    """Wait until the process has handled its signal; return whether /ready then returns 503."""
    for _ in range(100):
        if served.client.get("/ready").status_code == 503:
            return True
        time.sleep(0.02)
    return False


def ready(caller: Raw) -> int:
    caller.send(READY)
    answer = caller.answer()
    return answer.status if answer else 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_second_signal_ends_the_process_at_once(second: signal.Signals) -> None:
    with serve("-c", SLOW, quantization="int8") as served:
        with in_flight(served) as callers:
            served.process.send_signal(signal.SIGTERM)
            assert turns_unready(served)  # pending signals of the same kind are merged
            served.process.send_signal(second)
            assert callers[-1].answer() is None
        assert served.process.wait(10) == 128 + second


UPLOAD = b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_upload_that_does_not_end_is_told_so_and_does_not_keep_the_process(number: signal.Signals) -> None:
    with serve(quantization="int8") as served, ExitStack() as open_ones:
        alone, behind, halfway = (open_ones.enter_context(Raw(served.client.base_url)) for _ in range(3))
        alone.send(UPLOAD)
        behind.send(post(b'{"text": "a"}') + UPLOAD)
        halfway.send(UPLOAD[:30])
        answer = behind.answer()
        assert answer
        assert answer.status == 200
        served.process.send_signal(number)
        refused = [alone.answer(), behind.answer()]
        assert {answer.status for answer in refused if answer} == {503}
        assert None not in refused
        assert all(answer.headers["connection"] == "close" for answer in refused if answer)
        assert halfway.answer() is None
        assert served.process.wait(10) == 0  # REQUEST_TIMEOUT_S is 60, RECEIVE_TIMEOUT_S 20.
        assert not [line for line in served.lines if "Traceback" in line or "Exception" in line]


def test_an_answer_that_nobody_takes_does_not_keep_the_process() -> None:
    texts = ", ".join(['"the same text"'] * 1000)
    with serve(quantization="int8") as served, Raw(served.client.base_url, receive_buffer=4096) as caller:
        caller.send(post(f'{{"texts": [{texts}]}}'.encode()))
        assert served.shows(embedding_inputs_total=1000)
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(18) == 0


def test_what_is_in_flight_is_answered_after_sighup_unless_it_is_to_be_ignored() -> None:
    with serve("-c", SLOW, quantization="int8") as served:
        with in_flight(served) as callers:
            served.process.send_signal(signal.SIGHUP)
            assert {answer.status for caller in callers if (answer := caller.answer())} == {200}
        assert served.process.wait(60) == 0
    ignoring = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + SLOW
    with serve("-c", ignoring, quantization="int8") as served:  # as started by nohup
        served.process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert served.client.get("/ready").status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_idle_server_ends_at_once_though_connections_are_open(number: signal.Signals) -> None:
    with (
        serve(quantization="int8") as served,
        Raw(served.client.base_url) as idle,
        Raw(served.client.base_url) as halfway,
    ):
        assert ready(idle) == 200
        halfway.send(READY[:10])
        served.client.get("/ready")
        served.process.send_signal(number)
        assert served.process.wait(10) == 0


def test_an_engine_that_hangs_for_ever_does_not_keep_the_process() -> None:
    with serve("-c", HANGING, quantization="int8", request_timeout_s=1) as served:
        assert served.client.post("/embed", json={"text": "a"}).status_code == 504
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(20) == 4
    assert any("did not stop within 2 s" in line for line in served.lines)


def test_a_second_signal_ends_a_process_whose_engine_hangs() -> None:
    with serve("-c", HANGING, quantization="int8") as served:
        with Raw(served.client.base_url) as caller:
            caller.send(post(b'{"text": "a"}'))
            assert served.shows(embedding_queue_requests=1)
            served.process.send_signal(signal.SIGTERM)
            assert turns_unready(served)
            served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(10) == 128 + signal.SIGTERM


def test_a_killed_server_starts_again() -> None:
    with serve(quantization="int8") as served:
        served.process.kill()
        served.process.wait()
    with serve(quantization="int8") as served:
        assert served.client.get("/ready").status_code == 200
