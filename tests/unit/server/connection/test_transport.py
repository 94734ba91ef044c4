import asyncio
from collections.abc import Iterable

from server.connection.transport import CoalescingTransport

Chunk = bytes | bytearray | memoryview


class Socket(asyncio.Transport):
    """Records each write, and whether it was closed; `unsent` is the size of its buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[list[Chunk]] = []
        self.closed = False
        self.unsent = 0

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def writelines(self, list_of_data: Iterable[Chunk]) -> None:
        self.sent.append(list(list_of_data))

    def is_closing(self) -> bool:
        return self.closed


async def test_what_is_written_in_one_turn_leaves_together_and_what_comes_later_after_it() -> None:
    socket = Socket()
    transport = CoalescingTransport(socket, lambda: None)
    transport.write(b"head")
    transport.write(b"body")
    assert socket.sent == []
    await asyncio.sleep(0)
    assert socket.sent == [[b"head", b"body"]]
    assert transport.written_bytes == 8
    transport.write(b"next")
    await asyncio.sleep(0)
    assert socket.sent[1:] == [[b"next"]]


async def test_what_was_written_to_a_connection_that_is_lost_meanwhile_goes_nowhere() -> None:
    socket = Socket()
    transport = CoalescingTransport(socket, lambda: None)
    transport.write(b"head")
    socket.closed = True
    transport.close()
    await asyncio.sleep(0)
    assert socket.sent == []


async def test_closing_sends_what_was_written_first() -> None:
    socket, order = Socket(), []
    transport = CoalescingTransport(socket, lambda: order.append(len(socket.sent)))
    transport.write(b"last")
    transport.close()
    assert (order, socket.sent, transport.is_closing()) == ([1], [[b"last"]], True)
    await asyncio.sleep(0)
    assert len(socket.sent) == 1


async def test_an_answer_is_held_as_a_whole_until_its_last_byte_is_sent() -> None:
    socket = Socket()
    transport = CoalescingTransport(socket, lambda: None)
    held = []
    for size, unsent in ((1000, 0), (25, 400), (500, 426), (30, 510), (7, 30), (9, 0)):
        socket.unsent = unsent  # of what was written before
        transport.write(b"x" * size)
        transport.flush()
        held.append(transport.written_bytes)
    assert held == [1000, 1025, 1525, 555, 37, 9]
