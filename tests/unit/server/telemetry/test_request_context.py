import asyncio

from server.errors import OverloadedError
from server.telemetry.request_context import CURRENT, Answer, RequestContext


async def test_what_a_request_starts_belongs_to_it_and_what_others_start_does_not() -> None:
    async def current() -> str:
        trail = CURRENT.get()
        return trail.request_id if trail else ""

    async def serve(name: str) -> str:
        CURRENT.set(RequestContext(name, 0.0))
        return await asyncio.ensure_future(current())

    assert [*await asyncio.gather(serve("a"), serve("b")), await current()] == ["a", "b", ""]


def test_an_answer_s_reason_is_its_error_s_type() -> None:
    assert Answer("GET", "/info", 200, 0.1, None).reason == ""
    assert Answer("POST", "/embed", 429, 0.1, OverloadedError("full", 1)).reason == "overloaded"
