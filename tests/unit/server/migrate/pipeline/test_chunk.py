from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.migrate.errors import MigrateError
from server.migrate.pipeline.chunk import Chunking, cut
from server.model.tokenization import Span

WORDS = st.lists(st.integers(1, 12), max_size=60).map(
    lambda lengths: [word for word, length in enumerate(lengths) for _ in range(length)]
)
CHUNKINGS = st.integers(8, 64).flatmap(lambda tokens: st.builds(Chunking, st.just(tokens), st.integers(0, tokens // 2)))


@given(WORDS, CHUNKINGS)
def test_chunks_cover_all_tokens_in_bounds_and_overlap(words: list[int], chunking: Chunking) -> None:
    chunks = list(cut(words, chunking))
    assert sorted({token for start, end in chunks for token in range(start, end)}) == list(range(len(words)))
    assert all(0 < end - start <= chunking.tokens for start, end in chunks)
    for (start, end), (after, later) in pairwise(chunks):
        assert start < after <= end - chunking.overlap
        assert later > end


def test_cuts_fall_between_words_where_one_is_near() -> None:
    assert list(cut([0] * 7 + [1] * 7 + [2] * 2, Chunking(8, 0))) == [(0, 7), (7, 14), (14, 16)]
    assert list(cut([0] * 20, Chunking(8, 0))) == [(0, 8), (8, 16), (16, 20)]


def test_a_chunk_is_the_text_between_its_first_and_last_token() -> None:
    text = "one two three four five six seven eight nine"
    spans = []
    for word, part in enumerate(text.split()):
        start = text.index(part)
        spans.append(Span(start, start + len(part), word))
    assert Chunking(8, 1).split(text, spans) == ["one two three four five six seven eight", "eight nine"]
    assert Chunking(8, 1).split("", []) == []


@pytest.mark.parametrize("value", ["", "256", "a:b", "7:0", "16:9", "-8:1", "16:1:1"])
def test_what_is_no_chunking_is_refused_with_an_example(value: str) -> None:
    with pytest.raises(MigrateError, match=r"--chunk"):
        Chunking.parse(value)
