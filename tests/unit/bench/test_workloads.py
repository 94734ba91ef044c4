from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import workloads
from bench.workloads import SHORTEST, Vocabulary, lognormal_lengths, make, read_vocabulary, read_words
from tests.unit.server import tiny

VOCABULARY = Vocabulary(prefix=(1,), suffix=(2,), ordinary=tuple(range(10, 500)))


@pytest.mark.parametrize(
    ("name", "texts", "tokens", "longest"),
    [
        ("1x16", 1, 16, 16),
        ("1x128", 1, 128, 128),
        ("1x512", 1, 512, 512),
        ("8x128", 8, 1024, 128),
        ("8-queries", 8, 103, 20),
        ("16-mixed", 16, 707, 75),
        ("64-mixed", 64, 2696, 250),
    ],
)
def test_each_workload_has_exactly_its_tokens(name: str, texts: int, tokens: int, longest: int) -> None:
    (workload,) = make([name], VOCABULARY)
    assert (len(workload.sequences), workload.tokens, workload.longest) == (texts, tokens, longest)
    assert workload.json() == {"title": workload.title, "texts": texts, "tokens": tokens, "longest": longest}


def test_texts_begin_and_end_with_the_special_tokens_and_hold_none_between() -> None:
    for workload in make(workloads.NAMES, VOCABULARY):
        for sequence in workload.sequences:
            assert (sequence[0], sequence[-1]) == (1, 2)
            assert set(sequence[1:-1]) <= set(VOCABULARY.ordinary)


def test_a_workload_is_the_same_each_time_and_whichever_others_are_chosen() -> None:
    everything = {workload.name: workload for workload in make(workloads.NAMES, VOCABULARY)}
    assert make(["16-mixed"], VOCABULARY) == [everything["16-mixed"]]


def test_mixed_lengths_come_in_no_order() -> None:
    (workload,) = make(["64-mixed"], VOCABULARY)
    lengths = [len(sequence) for sequence in workload.sequences]
    assert lengths != sorted(lengths)
    assert lengths != sorted(lengths, reverse=True)


def test_an_unknown_workload_is_an_error() -> None:
    with pytest.raises(KeyError):
        make(["2x2"], VOCABULARY)


@given(st.integers(2, 100), st.integers(SHORTEST + 1, 512), st.floats(0.35, 0.95))
def test_lengths_sum_up_and_stay_within_bounds(count: int, longest: int, fullness: float) -> None:
    total = max(SHORTEST * count + longest - SHORTEST, int(longest * count * fullness))
    lengths = lognormal_lengths(count, total, longest)
    assert sum(lengths) == total
    assert min(lengths) >= SHORTEST
    assert max(lengths) == longest


@pytest.mark.parametrize("total", [3, 41])
def test_lengths_that_cannot_be_are_refused(total: int) -> None:
    with pytest.raises(ValueError, match="cannot have"):
        lognormal_lengths(4, total, 10)


def test_the_vocabulary_is_read_without_its_special_tokens(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    tiny.write_tokenizer(path)
    vocabulary = read_vocabulary(path)
    assert (vocabulary.prefix, vocabulary.suffix) == ((tiny.CLS,), (tiny.SEP,))
    assert set(vocabulary.ordinary) == set(range(len(tiny.WORDS))) - {tiny.CLS, tiny.SEP}


def test_words_are_plain_and_of_one_token_and_the_same_each_time(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    tiny.write_tokenizer(path)
    words = read_words(path, 100)
    assert sorted(words) == sorted(word for word in tiny.WORDS if word.isalpha())
    assert read_words(path, 100) == words
    assert len(read_words(path, 3)) == 3
