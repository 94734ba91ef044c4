import pytest

from server.connection import request_head
from server.connection.request_head import Head
from server.errors import MalformedError, ServiceError, UnsupportedCodingError, UnsupportedVersionError


def sent(target: bytes = b"/", version: str = "1.1", *fields: tuple[bytes, bytes], host: bytes | None = b"x") -> Head:
    return Head(b"GET", target, version, [*fields, *([(b"host", host)] if host is not None else [])])


def refusal(seen: Head) -> type[ServiceError] | None:
    try:
        request_head.check(seen)
    except ServiceError as error:
        return type(error)
    return None


@pytest.mark.parametrize(
    "host", [b"", b"x", b"a-b.example.org", b"a_b", b"127.0.0.1:8000", b"[::1]", b"[fe80::1%25eth0]:80", b"x:", b" x\t"]
)
def test_hosts_that_are_valid(host: bytes) -> None:
    assert refusal(sent(host=host)) is None


@pytest.mark.parametrize(
    "host", [b"a b", b"x/", b"http://x", b"u@x", b"x:y", b"x:123456", b"[::1", b"x\x80", b"a,b:1:2"]
)
def test_hosts_that_are_not(host: bytes) -> None:
    assert refusal(sent(host=host)) is MalformedError


def test_a_host_may_be_left_out_in_http_1_0_alone_and_doubled_in_none() -> None:
    assert refusal(sent(host=None)) is MalformedError
    assert refusal(sent(version="1.0", host=None)) is None
    for version in ("1.0", "1.1"):
        assert refusal(sent(b"/", version, (b"host", b"x"))) is MalformedError


@pytest.mark.parametrize(
    ("version", "kind"), [("0.9", MalformedError), ("2.0", UnsupportedVersionError), ("3.0", UnsupportedVersionError)]
)
def test_other_versions(version: str, kind: type[ServiceError]) -> None:
    assert refusal(sent(version=version)) is kind


@pytest.mark.parametrize(
    ("codings", "kind"),
    [
        ([b"chunked"], None),
        ([b" Chunked\t"], None),
        ([b"gzip, chunked"], UnsupportedCodingError),
        ([b"gzip", b"chunked"], UnsupportedCodingError),
        ([b"chunked, chunked"], MalformedError),
        ([b"chunked", b"chunked"], MalformedError),
    ],
)
def test_transfer_codings(codings: list[bytes], kind: type[ServiceError] | None) -> None:
    assert refusal(sent(b"/", "1.1", *[(b"transfer-encoding", coding) for coding in codings])) is kind
    assert refusal(sent(b"/", "1.0", (b"transfer-encoding", b"chunked"))) is MalformedError


@pytest.mark.parametrize("target", [b"http://x:99999/", b"http:///x", b"?x", b"http://[::1/x"])
def test_addresses_that_are_none(target: bytes) -> None:
    assert refusal(sent(target)) is MalformedError


def test_an_address_without_a_path_gets_one() -> None:
    targets = [b"http://x", b"http://x?a=/b?c", b"http://x/a?b", b"/a?b", b"*"]
    expected = [b"http://x/", b"http://x/?a=/b?c", b"http://x/a?b", b"/a?b", b"*"]
    assert [request_head.with_path(target) for target in targets] == expected
