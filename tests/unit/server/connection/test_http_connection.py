import asyncio

import pytest

from server.connection.connection_limit import SHORT_GRACE_S
from server.connection.http_connection import Connection
from server.connection.write_backlog import SLOW_WINDOWS, WINDOW_S
from server.system.memory import ANSWERS
from tests.unit.server.connection.listener import GET, SOON_S, listening, statuses


async def test_a_connection_that_says_nothing_is_closed_without_a_word() -> None:
    async with listening(receive_timeout_s=SOON_S) as server:
        assert await server.exchange(b"") == b""


async def test_an_idle_connection_is_closed_in_its_own_time_whatever_empty_lines_come() -> None:
    async with listening(keep_alive_s=SOON_S) as server:
        reader, writer = await server.connect()
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"/a 0")
        reading = asyncio.create_task(reader.read())
        while not reading.done():
            writer.write(b"\r\n")
            await asyncio.sleep(SOON_S / 4)
        assert await reading == b""
        writer.close()


async def test_a_request_in_progress_is_not_timed() -> None:
    async with listening(keep_alive_s=SOON_S, receive_timeout_s=SOON_S) as server:
        server.app.gate.clear()
        reader, writer = await server.connect()
        writer.write(GET + b"\r\n")
        await asyncio.sleep(4 * SOON_S)
        server.app.gate.set()
        assert await reader.readuntil(b"/a 0")
        writer.close()


async def test_an_answer_of_which_nothing_is_taken_is_dropped() -> None:
    async with listening(receive_timeout_s=SOON_S) as server:
        server.app.answer = b"x" * 50_000_000
        reader, writer = await server.connect()
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(4 * SOON_S)
        assert not server.state.connections
        writer.close()


async def test_beside_a_busy_connection_and_no_room_there_is_a_503_and_probes_are_answered() -> None:
    async with listening(max_connections=1) as server:
        server.app.gate.clear()
        reader, writer = await server.connect()
        writer.write(GET + b"\r\n")
        await asyncio.sleep(0.01)
        said = await server.exchange(GET + b"\r\n")
        assert statuses(said) == [503]
        assert b"retry-after: 1" in said
        server.app.gate.set()
        await reader.readuntil(b"/a 0")
        server.app.gate.clear()
        writer.write(GET + b"\r\n")
        probe = asyncio.create_task(server.exchange(b"GET /ready?deep HTTP/1.1\r\nHost: x\r\n\r\n"))
        await asyncio.sleep(0.01)
        server.app.gate.set()
        assert statuses(await probe) == [200]
        await reader.readuntil(b"/a 0")
        writer.close()


async def test_an_idle_connection_gives_way_and_the_next_one_stays() -> None:
    async with listening(max_connections=1) as server:
        reader, writer = await server.connect()
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"/a 0")
        other_reader, other = await server.connect()
        for _ in range(2):
            other.write(GET + b"\r\n")
            await other_reader.readuntil(b"/a 0")
        assert await reader.read() == b""
        for each in (writer, other):
            each.close()


async def test_headers_that_do_not_end_give_way_with_a_word() -> None:
    async with listening(max_connections=1) as server:
        reader, writer = await server.connect()
        writer.write(GET)
        await asyncio.sleep(SHORT_GRACE_S + 0.1)
        assert statuses(await server.exchange(GET + b"Connection: close\r\n\r\n")) == [200]
        assert statuses(await reader.read()) == [408]
        writer.close()


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_a_caller_that_sends_no_more_gets_its_answers(version: str) -> None:
    async with listening() as server:
        server.app.gate.clear()
        reader, writer = await server.connect()
        if version == "1.1":
            writer.write(GET + b"\r\n")
        writer.write(f"POST /b HTTP/{version}\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc".encode())
        writer.write_eof()
        await asyncio.sleep(SOON_S)
        server.app.gate.set()
        said = await reader.read()
        assert [code for code in statuses(said) if code != 100] == ([200, 200] if version == "1.1" else [200])
        assert (100 in statuses(said)) is (version == "1.1")
        assert said.endswith(b"/b 3")
        writer.close()


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_a_caller_that_hangs_up_is_noticed(version: str) -> None:
    async with listening() as server:
        server.app.gate.clear()
        _, writer = await server.connect()
        writer.write(f"POST /b HTTP/{version}\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc".encode())
        await asyncio.sleep(0.01)
        writer.close()
        for _ in range(40):
            await asyncio.sleep(0.05)
            if not server.state.connections:
                break
        assert not server.state.connections
        server.app.gate.set()


async def test_while_the_server_stops_a_body_that_is_not_whole_is_refused() -> None:
    async with listening(receive_timeout_s=30.0) as server:
        reader, writer = await server.connect()
        writer.write(b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na")
        await asyncio.sleep(0.01)
        server.bounds.state.drain()
        for connection in server.state.connections:
            assert isinstance(connection, Connection)
            connection.drop_if_slow()
        async with asyncio.timeout(5):
            assert statuses(await reader.read()) == [503]
            while server.state.connections:  # Well before RECEIVE_TIMEOUT_S, although the client does not close.
                await asyncio.sleep(0.05)
        writer.close()


async def test_while_draining_every_answer_is_the_last_on_its_connection() -> None:
    async with listening() as server:
        server.bounds.state.drain()
        said = await server.exchange(GET + b"\r\n" + GET + b"\r\n")
        assert statuses(said) == [200]
        assert b"connection: close" in said


async def test_a_head_that_the_server_does_not_read_is_not_late() -> None:
    async with listening(receive_timeout_s=SOON_S) as server:
        server.app.gate.clear()
        reader, writer = await server.connect()
        writer.write(GET + b"\r\n")
        await asyncio.sleep(0.01)
        writer.write(GET + b"\r\n" + GET)
        await asyncio.sleep(0.01)
        writer.write(b"\r\n")
        await asyncio.sleep(3 * SOON_S)
        server.app.gate.set()
        for _ in range(3):
            assert await reader.readuntil(b"/a 0")
        writer.close()


async def test_answers_that_nobody_reads_make_room_for_one_that_is_read() -> None:
    async with listening(memory=100_000_000) as server:
        server.app.answer = b"x" * 20_000_000
        silent = [await server.connect() for _ in range(3)]
        for reader, writer in silent:
            writer.write(GET + b"\r\n")
            await reader.readuntil(b"\r\n\r\n")
        for _ in range(2 + SLOW_WINDOWS):
            read = await server.exchange(GET + b"Connection: close\r\n\r\n")
            assert read.endswith(server.app.answer)
            await asyncio.sleep(WINDOW_S)
        assert len(server.state.connections) <= 1
        for _, writer in silent:
            writer.close()


@pytest.mark.parametrize(
    "more", [b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", b"?\r\n\r\n"]
)
async def test_an_answer_is_counted_whole_whatever_is_written_after_it(more: bytes) -> None:
    async with listening(memory=100_000_000) as server:
        server.app.answer = b"x" * 20_000_000
        reader, writer = await server.connect()
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(more)
        await asyncio.sleep(0.1)
        server.bounds.unread.enforce(0.0)
        (connection,) = server.state.connections
        assert isinstance(connection, Connection)
        assert connection.held_bytes >= 20_000_000
        assert server.bounds.memory.held[ANSWERS] >= 20_000_000
        writer.close()


async def test_an_answer_taken_in_crumbs_is_dropped() -> None:
    async with listening(receive_timeout_s=SOON_S) as server:
        server.app.answer = b"x" * 50_000_000
        reader, writer = await server.connect()
        writer.write(GET + b"\r\n")
        crumbs = 0
        while server.state.connections and crumbs < 100:
            await reader.read(1000)
            await asyncio.sleep(SOON_S / 4)
            crumbs += 1
        assert crumbs < 100
        writer.close()


async def test_an_answer_that_is_written_as_the_caller_ends_its_side_still_leaves() -> None:
    async with listening() as server:
        server.app.gate.clear()
        reader, writer = await server.connect()
        writer.write(GET + b"\r\n")
        await asyncio.sleep(SOON_S)
        server.app.gate.set()
        writer.write_eof()
        assert statuses(await reader.read()) == [200]
        writer.close()
