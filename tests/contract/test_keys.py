"""API keys: each configured key grants access, nothing else does, and keys are never printed."""

from collections.abc import Iterator

import pytest

from tests.raw import Raw
from tests.serving import Served, serve


@pytest.fixture(scope="module")
def keyed() -> Iterator[Served]:
    """A server with two keys that logs at debug level and must print neither key."""
    with serve(quantization="int8", api_key="first-key,second-key", log_level="debug") as served:
        yield served
    printed = "\n".join(served.lines)
    assert "first-key" not in printed
    assert "second-key" not in printed


def status(served: Served, *authorization: bytes, path: bytes = b"/info") -> int:
    headers = b"".join(b"Authorization: " + value + b"\r\n" for value in authorization)
    with Raw(served.client.base_url) as caller:
        caller.send(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n")
        answer = caller.answer()
    assert answer
    return answer.status


@pytest.mark.parametrize("given", [b"Bearer first-key", b"Bearer second-key", b"bearer  second-key "])
def test_every_key_opens(keyed: Served, given: bytes) -> None:
    assert status(keyed, given) == 200


@pytest.mark.parametrize(
    "given",
    [
        (),
        (b"",),
        (b"Bearer",),
        (b"Bearer ",),
        (b"Bearer first-ke",),
        (b"Bearer first-key,second-key",),
        (b"Bearer first-keysecond-key",),
        (b"Bearer first-key x",),
        (b"first-key",),
        (b"Basic Zmlyc3Qta2V5",),
        (b"Bearer \xe9\xff",),
        (b"Bearer first-key", b"Bearer first-key"),
        (b"Bearer " + b"k" * 20_000,),
    ],
    ids=lambda given: repr(given)[:30],
)
def test_nothing_else_does(keyed: Served, given: tuple[bytes, ...]) -> None:
    assert status(keyed, *given) == 401


def test_a_key_of_a_megabyte_is_not_read(keyed: Served) -> None:
    assert status(keyed, b"Bearer " + b"k" * 1_000_000) == 431


@pytest.mark.parametrize("path", [b"/health", b"/ready", b"/healthz", b"/health/", b"//health", b"/", b"//"])
def test_probes_carry_no_key(keyed: Served, path: bytes) -> None:
    assert status(keyed, path=path) == 200
    assert status(keyed, b"Bearer wrong", path=path) == 200


@pytest.mark.parametrize(
    "path", [b"/embed", b"/nowhere", b"//info", b"/info/", b"/health/../info", b"/./health", b"/health/x"]
)
def test_everything_else_asks_for_one(keyed: Served, path: bytes) -> None:
    assert status(keyed, path=path) == 401
