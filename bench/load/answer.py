"""A minimal HTTP/1.1 response parser: status, a few headers, and message length."""

import re
from dataclasses import dataclass

_MOST_HEAD_BYTES = 65_536
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})[ \r]")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r")
_TOKENS = re.compile(rb"\r\nx-compute-tokens: *(\d+)\r")
_RETRY = re.compile(rb"\r\nretry-after: *\d+\r")


class AnswerError(Exception):
    """An invalid or unsupported response."""


@dataclass(frozen=True, slots=True)
class ReceivedAnswer:
    """A parsed response; `tokens` is the value of `x-compute-tokens`, or 0."""

    status: int
    tokens: int
    retry_after: bool

    @property
    def good(self) -> bool:
        """Whether the status is 200."""
        return self.status == 200


class Parser:
    """Parses one connection's responses, one at a time; bodies are counted and discarded."""

    def __init__(self) -> None:
        self._head = b""
        self._answer: ReceivedAnswer | None = None
        self._left = 0

    def feed(self, data: bytes) -> ReceivedAnswer | None:
        """Feed bytes; return the response if it is complete.

        Raises:
            AnswerError: not HTTP/1.1, no Content-Length, head too long, or more bytes than Content-Length.
        """
        if self._answer is None:
            self._head += data
            if not self._read_head():
                return None
        else:
            self._left -= len(data)
        if self._left > 0:
            return None
        if self._left < 0:
            raise AnswerError("the answer is longer than its Content-Length")
        answer, self._answer = self._answer, None
        return answer

    def _read_head(self) -> bool:
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            if len(self._head) > _MOST_HEAD_BYTES:
                raise AnswerError(f"the head of the answer is longer than {_MOST_HEAD_BYTES} bytes")
            return False
        self._answer, length = _parse(self._head[: end + 2])
        self._left = length - (len(self._head) - end - 4)
        self._head = b""
        return True


def _parse(head: bytes) -> tuple[ReceivedAnswer, int]:
    status = _STATUS.match(head)
    lowered = head.lower()
    length = _LENGTH.search(lowered)
    if not status or not length:
        raise AnswerError("not an HTTP/1.1 answer with a Content-Length")
    tokens = _TOKENS.search(lowered)
    return ReceivedAnswer(int(status[1]), int(tokens[1]) if tokens else 0, _RETRY.search(lowered) is not None), int(
        length[1]
    )
