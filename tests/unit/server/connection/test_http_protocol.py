import asyncio
import contextlib

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.system.memory import CONNECTIONS, REQUESTS
from tests.unit.server.connection.listener import GET, SOON_S, listening, statuses


async def test_a_head_that_does_not_end_is_a_408() -> None:
    async with listening(receive_timeout_s=SOON_S) as server:
        assert statuses(await server.exchange(GET)) == [408]
        assert [error.status for error in server.refused] == [408]


async def test_a_late_head_is_refused_after_the_answer_that_is_owed() -> None:
    async with listening(receive_timeout_s=SOON_S) as server:
        server.app.gate.clear()
        reader, writer = await server.connect()
        writer.write(GET + b"\r\n" + GET)
        await asyncio.sleep(3 * SOON_S)
        server.app.gate.set()
        assert statuses(await reader.read()) == [200, 408]
        writer.close()


async def test_a_broken_body_ends_its_own_request_and_no_other() -> None:
    broken = b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"

    async with listening() as server:
        assert statuses(await server.exchange(broken)) == [400]
        await asyncio.sleep(0.01)
        assert server.app.gone == 1
        assert statuses(await server.exchange(GET + b"\r\n" + broken)) == [200, 400]
        assert len(server.app.scopes) == 2


EXTENSION = b"1;" + b"x" * 1000 + b"\r\na\r\n"
TRAILERS = b"x:y\r\n" * 150


@pytest.mark.parametrize(
    ("first", "then"),
    [(b"", EXTENSION), (b"0\r\n", TRAILERS), (b"0\r\nx: ", b"y" * 1000)],
    ids=["extensions", "trailers", "a trailer"],
)
async def test_a_body_and_what_frames_it_are_bounded(first: bytes, then: bytes) -> None:
    head = b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

    async with listening() as server:
        reader, writer = await server.connect()
        writer.write(head + first)
        for _ in range(12):
            await asyncio.sleep(0.001)
            writer.write(then)
        assert statuses(await reader.read()) == [413]
        writer.close()


async def test_a_body_that_goes_on_after_its_answer_is_read_to_a_bound() -> None:
    head = b"POST /early HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

    async with listening() as server:
        reader, writer = await server.connect()
        writer.write(head)
        await reader.readuntil(b"/early 0")
        for _ in range(5):
            writer.write(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        writer.write(b"0\r\n\r\n" + GET + b"\r\n")
        await reader.readuntil(b"/a 0")
        writer.write(head)
        await reader.readuntil(b"/early 0")
        for _ in range(20):
            writer.write(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
            await asyncio.sleep(0.001)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


async def test_trailers_do_not_become_headers() -> None:
    async with listening() as server:
        head = b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        assert statuses(await server.exchange(head + b"0\r\nAuthorization: Bearer x\r\n\r\n")) == [200]
        assert b"authorization" not in dict(server.app.scopes[0]["headers"])


@pytest.mark.parametrize("behind", [b"", GET + b"\r\n"], ids=["alone", "behind another"])
async def test_whatever_uvicorn_raises_is_a_400_and_costs_no_other_request_its_answer(
    behind: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise AttributeError("a detail")

    async with listening() as server:
        reader, writer = await server.connect()
        writer.write(behind)
        if behind:
            await reader.readuntil(b"/a 0")
            server.app.gate.clear()
            writer.write(behind)
            await asyncio.sleep(0.01)
        monkeypatch.setattr(HttpToolsProtocol, "on_headers_complete", fail)
        writer.write(GET + b"\r\n")
        await asyncio.sleep(0.01)
        server.app.gate.set()
        said = await reader.read()
        assert statuses(said) == ([200, 400] if behind else [400])
        assert b"detail" not in said
        writer.close()


async def test_an_upgrade_keeps_the_rest_of_the_request() -> None:
    async with listening() as server:
        head = b"POST /b?q=1 HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nX-Mine: 1\r\n"
        head += b"Connection: Upgrade\r\nContent-Length: 3\r\n\r\n"
        reader, writer = await server.connect()
        for cut in (len(head), 30):
            writer.write(head[:cut])
            await asyncio.sleep(0.01)
            writer.write(head[cut:] + b"abc" + GET + b"\r\n")
            assert await reader.readuntil(b"/b 3")
            assert await reader.readuntil(b"/a 0")
        assert dict(server.app.scopes[0]["headers"]) == {b"host": b"x", b"x-mine": b"1", b"content-length": b"3"}
        assert server.app.scopes[0]["query_string"] == b"q=1"
        writer.close()


async def test_a_body_that_ends_after_its_answer_leaves_an_idle_connection() -> None:
    async with listening(receive_timeout_s=SOON_S) as server:
        reader, writer = await server.connect()
        writer.write(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
        await reader.readuntil(b"/early 0")
        writer.write(b"abc")
        await asyncio.sleep(3 * SOON_S)
        writer.write(GET + b"\r\n")
        assert await reader.readuntil(b"/a 0")
        writer.close()


async def test_a_request_that_was_refused_is_not_answered_again(caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as server:
        server.app.gate.clear()
        reader, writer = await server.connect()
        writer.write(b"POST /early HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        await asyncio.sleep(0.01)
        writer.write(b"zz\r\n")
        await asyncio.sleep(0.01)
        server.app.gate.set()
        assert statuses(await reader.read()) == [400]
        writer.close()
    assert not caplog.messages


async def test_a_head_is_not_charged_with_what_came_before_it_in_the_same_chunk() -> None:
    async with listening() as server:
        reader, writer = await server.connect()
        writer.write(b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n\r\n" + b"x" * 3000 + GET)
        await reader.readuntil(b"/b 3000")
        writer.write(b"\r\n")
        assert await reader.readuntil(b"/a 0")
        writer.close()


async def test_an_older_caller_that_waits_for_leave_to_send_gets_no_interim_response() -> None:
    """HTTP/1.0 has none: it would be mistaken for the answer (RFC 9110, 10.1.1)."""

    async with listening() as server:
        async with asyncio.timeout(5):
            said = await server.exchange(b"POST /b HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc")
        assert statuses(said) == [200]


async def test_a_caller_that_waited_for_leave_to_send_and_got_an_answer_may_not_go_on() -> None:
    async with listening() as server:
        async with asyncio.timeout(5):
            said = await server.exchange(
                b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
            )
        assert statuses(said) == [200]


async def test_heads_and_bodies_sent_ahead_hold_memory_until_they_are_answered() -> None:
    async with listening(max_header_bytes=20_000) as server:
        server.app.gate.clear()
        held = server.bounds.memory.held
        reader, writer = await server.connect()
        writer.write(GET + b"\r\n" + b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n" + b"x" * 9000)
        await asyncio.sleep(SOON_S)
        assert held[CONNECTIONS] > 9000
        server.app.gate.set()
        await reader.readuntil(b"/b 9000")
        assert held[CONNECTIONS] == 0
        writer.write(b"GET /c HTTP/1.1\r\nHost: x\r\nlong: " + b"y" * 9000)
        await asyncio.sleep(SOON_S)
        assert held[CONNECTIONS] > 4000
        writer.close()
        await asyncio.sleep(SOON_S)
        assert held[CONNECTIONS] == 0


async def test_a_head_for_which_memory_has_no_room_is_refused_and_a_probe_is_not() -> None:
    async with listening(max_header_bytes=20_000) as server:
        server.bounds.memory.claim(REQUESTS).keep(server.bounds.memory.limit)
        assert statuses(await server.exchange(b"GET /c HTTP/1.1\r\nHost: x\r\nlong: " + b"y" * 9000)) == [429]
        assert statuses(await server.exchange(b"POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")) == [429]
        assert statuses(await server.exchange(GET + b"Connection: close\r\n\r\n")) == [200]


async def test_no_more_is_read_while_much_that_was_sent_ahead_waits() -> None:
    async with listening(max_wire_bytes=100_000) as server:
        server.app.gate.clear()
        reader, writer = await server.connect()
        post = b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60_000
        writer.write(GET + b"\r\n" + 60 * post)
        await asyncio.sleep(2 * SOON_S)
        assert server.bounds.memory.held[CONNECTIONS] < 1_000_000
        server.app.gate.set()
        for _ in range(60):
            await reader.readuntil(b"/b 60000")
        assert server.bounds.memory.held[CONNECTIONS] == 0
        writer.close()
