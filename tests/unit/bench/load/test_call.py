import json

import h11

from bench.load.call import HEALTH, MANY, ONE, request


def read(sent: bytes) -> tuple[h11.Request, bytes]:
    """Parse a request with another HTTP implementation."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(sent)
    asked = server.next_event()
    assert isinstance(asked, h11.Request)
    body = b""
    while isinstance(event := server.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    return asked, body


def test_a_post_is_http_and_its_body_json() -> None:
    asked, body = read(request(ONE, ["some words"]))
    assert (asked.method, asked.target) == (b"POST", b"/embed")
    assert dict(asked.headers)[b"content-type"] == b"application/json"
    assert json.loads(body) == {"text": "some words"}
    assert json.loads(read(request(MANY, ["a b", "c"]))[1]) == {"texts": ["a b", "c"]}


def test_a_get_has_no_body() -> None:
    asked, body = read(request(HEALTH))
    assert (asked.method, asked.target, body) == (b"GET", b"/health", b"")
