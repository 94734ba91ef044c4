"""Stopping: accepted work is answered, /ready says no at once, and the process ends whatever it hangs in."""

import asyncio
import signal
import time
from collections.abc import Callable

import httpx
import pytest

from tests.raw import Raw, post
from tests.serving import Served, serve

READY = b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"
IN_FLIGHT = 200
TEXT = "a text of some length " * 10


async def keep_in_flight(served: Served, then: Callable[[], None]) -> list[int]:
    """Post at once what takes seconds to compute, call `then` while all of it waits; the statuses of all answers."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=served.client.base_url, timeout=100, limits=limits) as client:
        texts = [f"{number} {TEXT}" for number in range(IN_FLIGHT)]
        posts = [asyncio.create_task(client.post("/embed", json={"text": text})) for text in texts]
        await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.to_thread(then)
        return [answer.status_code for answer in await asyncio.gather(*posts)]


def test_sigterm_turns_ready_off_at_once_and_answers_all_that_was_accepted() -> None:
    with serve(quantization="int8") as served, Raw(served.client.base_url) as prober:
        assert ready(prober) == 200
        seen: list[int] = []

        def stop() -> None:
            served.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            seen.append(served.client.get("/ready").status_code)
            seen.append(ready(prober))

        statuses = asyncio.run(keep_in_flight(served, stop))
        assert seen == [503, 503]
        assert statuses == [200] * IN_FLIGHT
        assert served.process.wait(60) == 0
        assert not [line for line in served.lines if "Traceback" in line or "Exception" in line]


def ready(caller: Raw) -> int:
    caller.send(READY)
    answer = caller.answer()
    return answer.status if answer else 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_process_at_once(second: signal.Signals) -> None:
    with serve(quantization="int8") as served:

        def stop_twice() -> None:
            served.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            served.process.send_signal(second)

        with pytest.raises(httpx.TransportError):
            asyncio.run(keep_in_flight(served, stop_twice))
        assert served.process.wait(10) == 128 + second


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
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


HANGING = """
import threading
from server import __main__ as cli
from server.engine import OnnxEngine

embed, calls = OnnxEngine.embed, []

def hang_after_warm_up(self, sequences):
    calls.append(1)
    return embed(self, sequences) if len(calls) < 3 else threading.Event().wait()

OnnxEngine.embed = hang_after_warm_up
cli.STOP_MARGIN_S = 1
raise SystemExit(cli.main([]))
"""


def test_an_engine_that_hangs_for_ever_does_not_keep_the_process() -> None:
    with serve("-c", HANGING, quantization="int8", request_timeout_s=1) as served:
        assert served.client.post("/embed", json={"text": "a"}).status_code == 504
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(20) == 4
    assert any("did not stop within 2 s" in line for line in served.lines)


def test_a_second_signal_ends_a_process_whose_engine_hangs() -> None:
    with serve("-c", HANGING, quantization="int8", request_timeout_s=1) as served:
        with Raw(served.client.base_url) as caller:
            caller.send(post(b'{"text": "a"}'))
            time.sleep(0.2)
            served.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(10) == 128 + signal.SIGTERM


def test_a_killed_server_starts_again() -> None:
    with serve(quantization="int8") as served:
        served.process.kill()
        served.process.wait()
    with serve(quantization="int8") as served:
        assert served.client.get("/ready").status_code == 200
