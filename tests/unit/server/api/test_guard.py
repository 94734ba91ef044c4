import logging
import time
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from server.api.guard import Guard
from server.errors import OverloadedError
from server.model import space
from server.settings import resolve
from server.system.memory import REQUESTS, SMALL_BYTES, Memory

SERVED = space.parse("tiny@0123456789ab/int8-01234567")
JSON = {"content-type": "application/json"}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the length of the body; fail on request, before or after the response starts."""
    if scope["path"] == "/fail":
        raise ValueError("the user's text")
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/fail-late":
        raise ValueError
    await send({"type": "http.response.body", "body": str(len(body)).encode()})


def nothing(_deadline: float) -> None:
    """Admit everything."""


def full(_deadline: float) -> None:
    raise OverloadedError("the queue is full", 7)


async def call(
    method: str = "POST",
    path: str = "/embed",
    environ: dict[str, str] | None = None,
    check_room: Callable[[float], None] = nothing,
    app: ASGIApp | None = None,
    memory: Memory | None = None,
    **options: object,
) -> httpx.Response:
    guard = Guard(app or echo, resolve(environ or {}), check_room, memory or Memory(10**9), SERVED)
    transport = httpx.ASGITransport(guard)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path, **options)  # type: ignore[arg-type]


async def in_chunks(size: int, count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * size


@pytest.mark.parametrize("key", ["old", "new"])
async def test_every_key_in_the_list_opens(key: str) -> None:
    assert (await call(environ={"API_KEY": "old,new"}, headers={"authorization": f"bearer {key}"})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "Bearer")],
        [("authorization", "Bearer wrong")],
        [("authorization", "Basic old")],
        [("authorization", "old")],
        [("authorization", b"Bearer \xe9")],
        [("authorization", "Bearer old"), ("authorization", "Bearer old")],
    ],
)
async def test_without_a_valid_key_sent_once_nothing_is_served(headers: list[tuple[str, str]]) -> None:
    for path in ("/embed", "/info", "/nowhere"):
        response = await call(path=path, environ={"API_KEY": "old,new"}, headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.json()["error_type"] == "unauthorized"


@pytest.mark.parametrize("path", ["/health", "/ready"])
async def test_probes_need_no_key(path: str) -> None:
    assert (await call("GET", path, {"API_KEY": "secret"})).status_code == 200


@pytest.mark.parametrize(
    "media",
    [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/ld+json",
        'application/json;charset="UTF-8"',
        "application/json; charset=utf8;",
    ],
)
async def test_json_is_taken(media: str) -> None:
    assert (await call(headers={"content-type": media})).status_code == 200


OWN = [
    {"origin": "http://test"},
    {"origin": "https://TEST"},
    {"origin": "http://test:80"},
    {"origin": "https://page.org", "x-forwarded-host": "page.org"},
    {"origin": "https://page.org", "sec-fetch-site": "same-origin"},
]
FOREIGN = [
    {"origin": "http://other"},
    {"origin": "http://test:8000"},
    {"origin": "http://test.other"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://other", "sec-fetch-site": "same-site"},
    [("origin", "http://test"), ("origin", "http://other")],
]


@pytest.mark.parametrize("headers", [{}, *OWN])
async def test_pages_of_the_server_s_own_may_post(headers: dict[str, str]) -> None:
    assert (await call(headers=headers)).status_code == 200


@pytest.mark.parametrize("headers", FOREIGN)
async def test_pages_of_others_may_not_unless_they_are_named(headers: dict[str, str]) -> None:
    refused = await call(headers=headers)
    assert (refused.status_code, refused.json()["error_type"]) == (403, "forbidden")
    assert (await call("GET", "/info", headers=headers)).status_code == 200
    assert (await call(environ={"CORS_ALLOW_ORIGIN": "*"}, headers=headers)).status_code == 200


async def test_an_origin_that_is_named_is_taken_and_no_other() -> None:
    named = {"CORS_ALLOW_ORIGIN": "https://a.org,https://b.org"}
    assert (await call(environ=named, headers={"origin": "https://b.org"})).status_code == 200
    assert (await call(environ=named, headers={"origin": "http://b.org"})).status_code == 403


async def test_a_body_without_a_type_is_taken_for_json() -> None:
    assert (await call(content=b"{}")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": ""},
        {"content-type": "text/json"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": 'application/json; a=b; Charset="UTF-32"'},
        {"content-type": "application/json; charset=utf-8; charset=latin-1"},
        {"content-type": "application/json; charset="},
        JSON | {"content-encoding": "gzip"},
    ],
)
async def test_another_media_type_or_encoding_is_refused_with_what_to_send(headers: dict[str, str]) -> None:
    response = await call(headers=headers)
    assert response.status_code == 415
    assert "send" in response.json()["error"]


async def test_a_body_is_refused_by_its_length_or_once_it_passes_the_limit() -> None:
    limit = {"MAX_BODY_BYTES": "10"}
    assert (await call(environ=limit, content=b"x" * 10)).text == "10"
    assert (await call(environ=limit, content=b"x" * 11)).status_code == 413
    assert (await call(environ=limit, content=in_chunks(5, 2))).text == "10"
    refused = await call(environ=limit, content=in_chunks(5, 3))
    assert refused.status_code == 413
    assert refused.headers["connection"] == "close"
    assert "10 bytes (MAX_BODY_BYTES)" in refused.json()["error"]


async def test_a_bug_answers_500_in_the_error_shape_and_its_log_holds_the_place_not_the_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        response = await call(path="/fail")
    assert response.status_code == 500
    assert response.json()["error_type"] == "internal"
    assert "the request failed: ValueError" in caplog.text
    assert "in echo" in vars(caplog.records[0])["traceback"]
    assert "user" not in response.text + caplog.text


async def test_a_bug_after_the_answer_began_cuts_the_connection() -> None:
    with pytest.raises(Exception, match="internal error"):
        await call(path="/fail-late")


@pytest.mark.parametrize(("given", "seconds"), [(None, 60), ("1500", 1.5), ("1", 0.001), ("999999999999", 60)])
async def test_a_request_may_ask_for_less_time_than_the_limit_but_not_for_more(
    given: str | None, seconds: float
) -> None:
    left: list[float] = []

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        left.append(scope["state"]["deadline"] - time.monotonic())
        await echo(scope, receive, send)

    answer = await call(app=note, headers={"x-request-timeout-ms": given} if given else {})
    assert answer.status_code == 200
    assert seconds - 1 < left[0] <= seconds


@pytest.mark.parametrize("given", ["0", "000", "-1", "+1", "1.5", "1e3", "soon", "", " ", "1, 2", "\u0661", "9" * 5000])
async def test_a_time_that_is_no_whole_number_is_refused_by_its_header_s_name(given: str) -> None:
    response = await call(headers=[("x-request-timeout-ms", given.encode())])
    assert response.status_code == 422
    assert "x-request-timeout-ms" in response.json()["error"]


async def test_a_time_that_is_given_twice_is_refused() -> None:
    assert (await call(headers=[("x-request-timeout-ms", "5"), ("x-request-timeout-ms", "5")])).status_code == 422


@pytest.mark.parametrize("expected", [str(SERVED), SERVED.model, f" {SERVED} "])
async def test_who_expects_the_served_space_is_answered(expected: str) -> None:
    assert (await call(headers={"if-embedding-space": expected})).status_code == 200


@pytest.mark.parametrize(
    "expected", ["tiny@0123456789ac", "other@0123456789ab", f"{SERVED.model}/fp32", f"{SERVED.model}/int8-01234568"]
)
async def test_who_expects_another_space_is_refused_before_a_byte_of_the_body_is_read(expected: str) -> None:
    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError("read")
        yield b""

    headers = JSON | {"if-embedding-space": expected}
    response = await call(content=unread(), check_room=full, headers=headers)
    assert response.status_code == 412
    assert response.json()["error_type"] == "space_mismatch"
    assert expected in response.json()["error"]
    assert str(SERVED) in response.json()["error"]
    assert (await call(path="/v1/embeddings", headers=headers)).json()["error"]["code"] == "space_mismatch"
    assert (await call("GET", headers=headers)).status_code == 200
    assert (await call(environ={"API_KEY": "key"}, headers=headers)).status_code == 401


@pytest.mark.parametrize(
    "sent",
    [
        *(b"", b"tiny", b"*", b'"tiny@0123456789ab"', b"tiny@0123456789ab, x@0123456789ab", b"x" * 30_000),
        *("tiny@０123456789ab".encode(), b"tiny@0123456789ab\xff", b"\xe2\x98\x83@0123456789ab"),
    ],
)
async def test_an_expectation_that_is_no_id_is_refused_with_the_grammar(sent: bytes) -> None:
    response = await call(headers=[("if-embedding-space", sent)])
    assert (response.status_code, response.json()["error_type"]) == (400, "malformed")
    assert "if-embedding-space is not the id of an embedding space: NAME@HASH" in response.json()["error"]
    assert len(response.text) < 400


async def test_an_expectation_that_is_given_twice_is_refused() -> None:
    assert (await call(headers=[("if-embedding-space", str(SERVED))] * 2)).status_code == 400


async def test_a_full_queue_refuses_whoever_has_a_key_before_a_byte_of_the_body_is_read() -> None:
    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError("read")
        yield b""

    refused = await call(check_room=full, content=unread(), headers=JSON)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
    assert (await call("GET", check_room=full)).status_code == 200
    assert (await call(environ={"API_KEY": "key"}, check_room=full, headers=JSON)).status_code == 401


async def test_a_body_holds_memory_as_it_comes_and_gives_it_back() -> None:
    memory = Memory(4 * SMALL_BYTES)
    seen: list[int] = []

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(3):
            await receive()
            seen.append(memory.held[REQUESTS])
        await echo(scope, receive, send)

    content = in_chunks(SMALL_BYTES, 5)
    refused = await call(app=note, memory=memory, content=content, headers=JSON)
    assert refused.status_code == 429
    assert "take all the room" in refused.json()["error"]
    assert seen == [SMALL_BYTES, 2 * SMALL_BYTES, 3 * SMALL_BYTES]
    assert memory.total == 0


async def test_small_bodies_have_room_beside_large_ones() -> None:
    memory = Memory(4 * SMALL_BYTES)
    memory.claim(REQUESTS).hold(3 * SMALL_BYTES)
    assert (await call(memory=memory, content=in_chunks(SMALL_BYTES, 1), headers=JSON)).status_code == 200
    assert (await call(memory=memory, content=in_chunks(SMALL_BYTES + 1, 1), headers=JSON)).status_code == 429
