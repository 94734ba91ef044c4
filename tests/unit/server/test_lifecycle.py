import socket

import pytest

from server import lifecycle


def test_a_reserved_port_cannot_be_taken_before_it_listens() -> None:
    with lifecycle.reserve_port("127.0.0.1", 0) as reserved, pytest.raises(OSError, match="in use"):
        socket.create_server(reserved.getsockname())
