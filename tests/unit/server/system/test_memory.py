from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import OverloadedError
from server.system.memory import ANSWERS, MEGABYTE, REQUESTS, SMALL_BYTES, Kind, Memory, size_of

LIMIT = 10 * SMALL_BYTES
STEPS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["hold", "release"]), st.integers(0, LIMIT)), max_size=60)


@given(steps=STEPS)
def test_what_is_held_stays_within_the_limit_and_is_what_the_claims_hold(steps: list[tuple[int, str, int]]) -> None:
    memory = Memory(LIMIT)
    claims = [memory.claim(kind) for kind in (*Kind, *Kind)][:5]
    for index, step, size in steps:
        before = claims[index].bytes
        try:
            claims[index].hold(size) if step == "hold" else claims[index].release()
        except OverloadedError:
            assert claims[index].bytes == before
            assert size > before
        assert memory.total == sum(claim.bytes for claim in claims) <= LIMIT
    for claim in claims:
        claim.release()
    assert set(memory.held.values()) == {0}


@given(sizes=st.lists(st.integers(SMALL_BYTES + 1, LIMIT), max_size=20))
def test_large_claims_leave_room_for_small_ones(sizes: list[int]) -> None:
    memory = Memory(LIMIT)
    for size in sizes:
        with suppress(OverloadedError):
            memory.claim(REQUESTS).hold(size)
    memory.claim(REQUESTS).hold(SMALL_BYTES)
    memory.claim(REQUESTS).hold(SMALL_BYTES)


def test_a_claim_that_shrinks_is_never_refused() -> None:
    memory = Memory(LIMIT)
    with memory.claim(REQUESTS) as claim:
        claim.hold(LIMIT // 2)
        memory.claim(ANSWERS).keep(LIMIT)  # written already
        claim.hold(LIMIT // 4)
        with pytest.raises(OverloadedError, match="take all the room in memory, 1 of 1 MB"):
            claim.hold(LIMIT // 4 + 1)
    assert memory.held[REQUESTS] == 0


def test_the_heap_is_trimmed_once_each_time_much_is_given_back() -> None:
    ebbed: list[int] = []
    memory = Memory(1000 * MEGABYTE, lambda: ebbed.append(memory.total))
    for _ in range(2):
        claims = [memory.claim(REQUESTS) for _ in range(10)]
        for claim in claims:
            claim.hold(10 * MEGABYTE)
        for claim in claims:
            claim.release()
    assert ebbed == [20 * MEGABYTE] * 2
    memory.claim(REQUESTS).hold(MEGABYTE)
    assert len(ebbed) == 2


@pytest.mark.parametrize(
    ("inputs", "least", "most"),
    [(["a" * 1000], 1000, 1100), (["a" * 999 + "\U0001f600"], 4000, 4100), ([[999] * 1000], 40_000, 41_000)],
)
def test_the_size_of_texts_and_ids_is_what_python_takes(inputs: list[str], least: int, most: int) -> None:
    assert least <= size_of(inputs) <= most
