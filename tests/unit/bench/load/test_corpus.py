import string

from bench.load.corpus import make

WORDS = [first + second for first in string.ascii_lowercase for second in string.ascii_lowercase]


def test_texts_have_the_lengths_asked_for_special_tokens_included() -> None:
    corpus = make(WORDS, (4, 9, 30), affixes=2)
    lengths = [len(corpus.text(number).split()) + 2 for number in range(300)]
    assert [sorted(lengths[start : start + 3]) for start in range(0, 300, 3)] == [[4, 9, 30]] * 100
    assert lengths[:30] != [4, 9, 30] * 10


def test_all_texts_differ_even_the_shortest() -> None:
    corpus = make(WORDS, (4,), affixes=2)
    texts = {corpus.text(number) for number in range(50_000)}
    assert len(texts) == 50_000


def test_the_same_seed_gives_the_same_texts_and_another_others() -> None:
    assert make(WORDS, (12,), 2, seed=1) == make(WORDS, (12,), 2, seed=1)
    assert make(WORDS, (12,), 2, seed=1) != make(WORDS, (12,), 2, seed=2)


def test_few_words_make_texts_without_end() -> None:
    corpus = make(["a", "b"], (4, 6), affixes=2)
    assert all(set(corpus.text(number).split()) <= {"a", "b"} for number in (0, 3, 5, 10**6))
