import pytest

from bench.load.answer import AnswerError, Parser, ReceivedAnswer

BODY = b'{"embedding":[0.25,0.5]}'
GOOD = b"HTTP/1.1 200 OK\r\nX-Compute-Tokens: 17\r\nContent-Type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)
REFUSED = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 3\r\ncontent-length: 2\r\n\r\n{}"


@pytest.mark.parametrize("size", [1, 2, 7, 40, len(GOOD)])
def test_an_answer_is_read_in_pieces_of_any_size(size: int) -> None:
    parser = Parser()
    for _ in range(2):  # twice on one connection
        answers = [parser.feed(GOOD[start : start + size]) for start in range(0, len(GOOD), size)]
        assert answers[:-1] == [None] * (len(answers) - 1)
        assert answers[-1] == ReceivedAnswer(200, 17, retry_after=False)


def test_a_refusal_says_when_to_come_again() -> None:
    answer = Parser().feed(REFUSED)
    assert answer == ReceivedAnswer(429, 0, retry_after=True)
    assert not answer.good


def test_an_answer_without_a_body_ends_with_its_head() -> None:
    parser = Parser()
    head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    assert [parser.feed(head[at : at + 1]) for at in range(len(head))][-1] == ReceivedAnswer(503, 0, retry_after=False)
    assert parser.feed(GOOD) == ReceivedAnswer(200, 17, retry_after=False)


@pytest.mark.parametrize(
    "wrong",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-content-length: 2\r\n\r\n{}",
        GOOD + b"x",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000,
    ],
)
def test_what_cannot_be_read_is_an_error(wrong: bytes) -> None:
    with pytest.raises(AnswerError):
        Parser().feed(wrong)
