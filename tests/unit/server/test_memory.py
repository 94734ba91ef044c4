"""One limit for all that is held: never passed by claims, and all of it free in the end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import OverloadedError
from server.memory import ANSWERS, CONNECTIONS, LARGE_SHARE, MEGABYTE, MUCH_BYTES, REQUESTS, SMALL_BYTES, Memory

LIMIT = 10 * MEGABYTE


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4 * MEGABYTE)), max_size=60))
def test_claims_never_pass_the_limit_and_end_with_nothing_held(steps: list[tuple[int, int]]) -> None:
    memory = Memory(LIMIT)
    claims = [memory.claim(kind) for kind in (CONNECTIONS, REQUESTS) for _ in range(3)]
    for place, size in steps:
        before = claims[place].bytes
        try:
            claims[place].hold(size)
        except OverloadedError:
            assert claims[place].bytes == before
        assert memory.total == sum(claim.bytes for claim in claims) <= LIMIT
    for claim in claims:
        claim.release()
    assert memory.total == 0


def test_the_last_quarter_is_for_small_claims() -> None:
    memory = Memory(LIMIT)
    memory.claim(REQUESTS).hold(int(LARGE_SHARE * LIMIT))
    with pytest.raises(OverloadedError, match="take all the room in memory"):
        memory.claim(REQUESTS).hold(SMALL_BYTES + 1)
    memory.claim(REQUESTS).hold(SMALL_BYTES)


def test_what_is_there_already_is_counted_beyond_the_limit() -> None:
    memory = Memory(LIMIT)
    with memory.claim(ANSWERS) as claim:
        claim.keep(2 * LIMIT)
        with pytest.raises(OverloadedError):
            memory.claim(REQUESTS).hold(1)
    assert memory.total == 0


def test_memory_goes_back_to_the_system_once_most_of_much_is_given_back() -> None:
    ebbed: list[int] = []
    memory = Memory(10 * MUCH_BYTES, lambda: ebbed.append(memory.total))
    claim = memory.claim(REQUESTS)
    claim.hold(2 * MUCH_BYTES)
    claim.hold(MUCH_BYTES)
    assert not ebbed
    claim.release()
    assert ebbed == [0]
    claim.hold(MUCH_BYTES // 2)
    claim.release()
    assert len(ebbed) == 1
