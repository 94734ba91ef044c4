import asyncio
import contextlib

import pytest

from server.unread import Unread
from tests.unit.server.here import GET, SOON_S, Here, run, statuses


def test_a_connection_that_says_nothing_is_closed_without_a_word() -> None:
    async def check(here: Here) -> None:
        assert await here.exchange(b"") == b""

    run(check, receive_timeout_s=SOON_S)


def test_a_head_that_does_not_end_is_a_408() -> None:
    async def check(here: Here) -> None:
        assert statuses(await here.exchange(GET)) == [408]
        assert [error.status for error in here.refused] == [408]

    run(check, receive_timeout_s=SOON_S)


def test_an_idle_connection_is_closed_in_its_own_time_whatever_empty_lines_come() -> None:
    async def check(here: Here) -> None:
        reader, writer = await here.connect()
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"/a 0")
        reading = asyncio.create_task(reader.read())
        while not reading.done():
            writer.write(b"\r\n")
            await asyncio.sleep(SOON_S / 4)
        assert await reading == b""
        writer.close()

    run(check, keep_alive_s=SOON_S)


def test_a_request_in_progress_is_not_timed() -> None:
    async def check(here: Here) -> None:
        here.app.gate.clear()
        reader, writer = await here.connect()
        writer.write(GET + b"\r\n")
        await asyncio.sleep(4 * SOON_S)
        here.app.gate.set()
        assert await reader.readuntil(b"/a 0")
        writer.close()

    run(check, keep_alive_s=SOON_S, receive_timeout_s=SOON_S)


def test_a_late_head_is_refused_after_the_answer_that_is_owed() -> None:
    async def check(here: Here) -> None:
        here.app.gate.clear()
        reader, writer = await here.connect()
        writer.write(GET + b"\r\n" + GET)
        await asyncio.sleep(3 * SOON_S)
        here.app.gate.set()
        assert statuses(await reader.read()) == [200, 408]
        writer.close()

    run(check, receive_timeout_s=SOON_S)


def test_a_broken_body_ends_its_own_request_and_no_other() -> None:
    broken = b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"

    async def check(here: Here) -> None:
        assert statuses(await here.exchange(broken)) == [400]
        await asyncio.sleep(0.01)
        assert here.app.gone == 1
        assert statuses(await here.exchange(GET + b"\r\n" + broken)) == [200, 400]
        assert len(here.app.scopes) == 2

    run(check)


EXTENSION = b"1;" + b"x" * 1000 + b"\r\na\r\n"
TRAILERS = b"x:y\r\n" * 150


@pytest.mark.parametrize(
    ("first", "then"),
    [(b"", EXTENSION), (b"0\r\n", TRAILERS), (b"0\r\nx: ", b"y" * 1000)],
    ids=["extensions", "trailers", "a trailer"],
)
def test_a_body_and_what_frames_it_are_bounded(first: bytes, then: bytes) -> None:
    head = b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def check(here: Here) -> None:
        reader, writer = await here.connect()
        writer.write(head + first)
        for _ in range(12):
            await asyncio.sleep(0.001)
            writer.write(then)
        assert statuses(await reader.read()) == [413]
        writer.close()

    run(check)


def test_a_body_that_goes_on_after_its_answer_is_read_to_a_bound() -> None:
    head = b"POST /early HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def check(here: Here) -> None:
        reader, writer = await here.connect()
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

    run(check)


def test_trailers_do_not_become_headers() -> None:
    async def check(here: Here) -> None:
        head = b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        assert statuses(await here.exchange(head + b"0\r\nAuthorization: Bearer x\r\n\r\n")) == [200]
        assert b"authorization" not in dict(here.app.scopes[0]["headers"])

    run(check)


def test_an_answer_of_which_nothing_is_taken_is_dropped() -> None:
    async def check(here: Here) -> None:
        here.app.answer = b"x" * 50_000_000
        reader, writer = await here.connect()
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(4 * SOON_S)
        assert not here.state.connections
        writer.close()

    run(check, receive_timeout_s=SOON_S)


def test_one_connection_too_many_is_a_503_and_closed() -> None:
    async def check(here: Here) -> None:
        reader, writer = await here.connect()
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"/a 0")
        said = await here.exchange(GET + b"\r\n")
        assert statuses(said) == [503]
        assert b"retry-after: 1" in said
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"/a 0")
        writer.close()

    run(check, max_connections=1)


def test_while_draining_every_answer_is_the_last_on_its_connection() -> None:
    async def check(here: Here) -> None:
        here.terms.draining = True
        said = await here.exchange(GET + b"\r\n" + GET + b"\r\n")
        assert statuses(said) == [200]
        assert b"connection: close" in said

    run(check)


def test_an_upgrade_keeps_the_rest_of_the_request() -> None:
    async def check(here: Here) -> None:
        head = b"POST /b?q=1 HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nX-Mine: 1\r\n"
        head += b"Connection: Upgrade\r\nContent-Length: 3\r\n\r\n"
        reader, writer = await here.connect()
        for cut in (len(head), 30):
            writer.write(head[:cut])
            await asyncio.sleep(0.01)
            writer.write(head[cut:] + b"abc" + GET + b"\r\n")
            assert await reader.readuntil(b"/b 3")
            assert await reader.readuntil(b"/a 0")
        assert dict(here.app.scopes[0]["headers"]) == {b"host": b"x", b"x-mine": b"1", b"content-length": b"3"}
        assert here.app.scopes[0]["query_string"] == b"q=1"
        writer.close()

    run(check)


def test_a_body_that_ends_after_its_answer_leaves_an_idle_connection() -> None:
    async def check(here: Here) -> None:
        reader, writer = await here.connect()
        writer.write(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
        await reader.readuntil(b"/early 0")
        writer.write(b"abc")
        await asyncio.sleep(3 * SOON_S)
        writer.write(GET + b"\r\n")
        assert await reader.readuntil(b"/a 0")
        writer.close()

    run(check, receive_timeout_s=SOON_S)


def test_a_request_that_was_refused_is_not_answered_again(caplog: pytest.LogCaptureFixture) -> None:
    async def check(here: Here) -> None:
        here.app.gate.clear()
        reader, writer = await here.connect()
        writer.write(b"POST /early HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        await asyncio.sleep(0.01)
        writer.write(b"zz\r\n")
        await asyncio.sleep(0.01)
        here.app.gate.set()
        assert statuses(await reader.read()) == [400]
        writer.close()

    run(check)
    assert not caplog.messages


def test_a_head_is_not_charged_with_what_came_before_it_in_the_same_chunk() -> None:
    async def check(here: Here) -> None:
        reader, writer = await here.connect()
        writer.write(b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n\r\n" + b"x" * 3000 + GET)
        await reader.readuntil(b"/b 3000")
        writer.write(b"\r\n")
        assert await reader.readuntil(b"/a 0")
        writer.close()

    run(check)


def test_a_caller_that_waited_for_leave_to_send_and_got_an_answer_may_not_go_on() -> None:
    async def check(here: Here) -> None:
        async with asyncio.timeout(5):
            said = await here.exchange(
                b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
            )
        assert statuses(said) == [200]

    run(check)


def test_a_head_that_the_server_does_not_read_is_not_late() -> None:
    async def check(here: Here) -> None:
        here.app.gate.clear()
        reader, writer = await here.connect()
        writer.write(GET + b"\r\n")
        await asyncio.sleep(0.01)
        writer.write(GET + b"\r\n" + GET)
        await asyncio.sleep(0.01)
        writer.write(b"\r\n")
        await asyncio.sleep(3 * SOON_S)
        here.app.gate.set()
        for _ in range(3):
            assert await reader.readuntil(b"/a 0")
        writer.close()

    run(check, receive_timeout_s=SOON_S)


def test_answers_that_nobody_reads_make_room_for_one_that_is_read() -> None:
    async def check(here: Here) -> None:
        here.app.answer = b"x" * 20_000_000
        silent = [await here.connect() for _ in range(3)]
        for reader, writer in silent:
            writer.write(GET + b"\r\n")
            await reader.readuntil(b"\r\n\r\n")
        read = await here.exchange(GET + b"Connection: close\r\n\r\n")
        assert read.endswith(here.app.answer)
        assert len(here.state.connections) <= 1
        for _, writer in silent:
            writer.close()

    run(check, unread=Unread(25_000_000))


def test_an_answer_taken_in_crumbs_is_dropped() -> None:
    async def check(here: Here) -> None:
        here.app.answer = b"x" * 50_000_000
        reader, writer = await here.connect()
        writer.write(GET + b"\r\n")
        crumbs = 0
        while here.state.connections and crumbs < 100:
            await reader.read(1000)
            await asyncio.sleep(SOON_S / 4)
            crumbs += 1
        assert crumbs < 100
        writer.close()

    run(check, receive_timeout_s=SOON_S)


def test_an_answer_that_is_written_as_the_caller_ends_its_side_still_leaves() -> None:
    async def check(here: Here) -> None:
        here.app.gate.clear()
        reader, writer = await here.connect()
        writer.write(GET + b"\r\n")
        await asyncio.sleep(SOON_S)
        here.app.gate.set()
        writer.write_eof()
        assert statuses(await reader.read()) == [200]
        writer.close()

    run(check)
