import threading
from collections.abc import Iterator

import pytest

from server.migrate.pipeline.prefetch import ahead


def test_the_next_item_is_made_while_one_is_in_use() -> None:
    made = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        made.set()
        yield 2

    received = ahead(items())
    assert next(received) == 1
    assert made.wait(10)
    assert list(received) == [2]


def test_no_more_than_one_item_waits() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(1, 10):
            taken.append(number)
            yield number

    received = ahead(items())
    next(received)
    received.close()
    assert len(taken) <= 2


def test_what_goes_wrong_there_goes_wrong_here() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    received = ahead(items())
    assert next(received) == 1
    with pytest.raises(ValueError, match="no more"):
        next(received)
