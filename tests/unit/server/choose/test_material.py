"""The sample: bounded, in random order, each text once, and relevance that fits it."""

from pathlib import Path
from typing import Any

import pytest

from server.choose import material
from server.choose.errors import ChooseError
from server.choose.judgements import Judgements
from server.choose.material import LEAST_QUERIES, MOST_RELEVANT, Material
from server.migrate.inputs import open_source
from server.migrate.pipeline.prepare import Preparer
from server.model.artifact import Artifact
from server.model.tokenization import Tokenizer
from tests.unit.server import tiny
from tests.unit.server.choose.inputs import different, write_lines

SIZE = 300


@pytest.fixture
def preparer(artifact: Artifact) -> Preparer:
    return Preparer(Tokenizer(artifact.tokenizer_path, tiny.MAX_TOKENS), "", None, 1000)


def held_out(folder: Path, preparer: Preparer, entries: list[Any], size: int = SIZE) -> Material:
    source = open_source(str(write_lines(folder / "texts.jsonl", entries)), None, {})
    return material.without_queries(source, preparer, size)


def judged(folder: Path, preparer: Preparer, relevance: Judgements, queries: list[str] | None = None) -> Material:
    corpus = [{"id": number, "text": text} for number, text in enumerate(different(400))]
    asked = [{"id": f"q{number}", "text": text} for number, text in enumerate(queries or different(60, 1000))]
    sources = [
        open_source(str(write_lines(folder / f"{name}.jsonl", entries)), None, {})
        for name, entries in (("texts", corpus), ("queries", asked))
    ]
    return material.with_relevance((sources[0], sources[1]), (preparer, preparer), relevance, SIZE)


def test_a_long_input_is_sampled_and_queries_are_held_out(tmp_path: Path, preparer: Preparer) -> None:
    made = held_out(tmp_path, preparer, different(3000))
    assert (len(made.texts), len(made.queries)) == (SIZE, material.MOST_QUERIES)
    assert not set(made.texts) & set(made.queries)
    assert made == held_out(tmp_path, preparer, different(3000))
    assert made.texts != sorted(made.texts)


def test_a_short_input_gives_a_third_as_queries(tmp_path: Path, preparer: Preparer) -> None:
    made = held_out(tmp_path, preparer, different(240))
    assert (len(made.texts), len(made.queries)) == (160, 80)


def test_equal_texts_count_once_whatever_their_ids(tmp_path: Path, preparer: Preparer) -> None:
    made = held_out(tmp_path, preparer, [{"id": "same", "text": text} for text in different(240) * 2], 500)
    assert len(made.texts) + len(made.queries) == 240
    with pytest.raises(ChooseError, match=f"at least {LEAST_QUERIES}|at least 150"):
        held_out(tmp_path, preparer, ["the cat"] * 1000)


def test_a_query_is_not_searched_among_the_texts(tmp_path: Path, preparer: Preparer) -> None:
    """Neither under another spelling with the same tokens, nor with another prompt."""
    texts = open_source(str(write_lines(tmp_path / "texts.jsonl", different(300))), None, {})
    asked = [text.upper() for text in different(60)]
    queries = open_source(str(write_lines(tmp_path / "queries.jsonl", asked * 2)), None, {})
    as_query = Preparer(preparer._tokenizer, "query: ", None, 1000)
    made = material.with_queries(texts, queries, preparer, as_query, SIZE)
    assert (len(made.texts), len(made.queries), made.asked) == (240, 60, 60)
    assert not set(made.texts) & set(different(60))


def test_equal_queries_become_one_and_are_not_searched_unless_judged(tmp_path: Path, preparer: Preparer) -> None:
    asked = different(60)
    relevance = {f"q{number}": {str(number if number < 10 else 300 + number): 1.0} for number in range(60)}
    made = judged(tmp_path, preparer, relevance | {"q60": {"399": 2.0}}, [*asked, asked[0]])
    assert len(made.queries) == 60
    assert made.asked
    assert set(made.texts) & set(asked) == set(asked[:10])
    own = made.relevance[made.queries.index(asked[0])]
    assert {made.texts[place]: grade for place, grade in own.items()} == {asked[0]: 1.0, different(400)[399]: 2.0}


def test_what_cannot_be_embedded_is_left_out_and_counted(tmp_path: Path, preparer: Preparer) -> None:
    bad: list[Any] = ["", None, 5, "a " * 600, "b" * (material.LONGEST + 1)]
    made = held_out(tmp_path, preparer, different(300) + bad)
    assert made.skipped == len(bad)
    assert made.reason


@pytest.mark.parametrize("entries", [["the cat", "a dog"], different(200)])
def test_too_few_texts_are_refused(tmp_path: Path, preparer: Preparer, entries: list[str]) -> None:
    with pytest.raises(ChooseError, match=f"of {len(entries)} different ones, at least 150 are needed"):
        held_out(tmp_path, preparer, entries)


def test_relevance_points_at_the_texts_by_place(tmp_path: Path, preparer: Preparer) -> None:
    made = judged(tmp_path, preparer, {f"q{number}": {str(number): 1.0, "399": 0.0} for number in range(55)})
    texts, asked = different(400), different(60, 1000)
    assert len(made.queries) == 55
    for query, grades in zip(made.queries, made.relevance, strict=True):
        assert [made.texts[place] for place in grades] == [texts[asked.index(query)]]
    # Relevant texts are not the first ones: of equally near texts the first counts as nearer.
    assert {place for grades in made.relevance for place in grades} != set(range(55))


def test_many_relevant_texts_of_a_query_are_sampled_and_the_others_are_no_errors(
    tmp_path: Path, preparer: Preparer
) -> None:
    relevant = {str(number): 1.0 for number in range(100)}
    made = judged(tmp_path, preparer, {f"q{number}": relevant for number in range(60)})
    assert {len(grades) for grades in made.relevance} == {MOST_RELEVANT}
    assert len(set(made.texts) & set(different(100))) == MOST_RELEVANT


@pytest.mark.parametrize(
    ("relevance", "said"),
    [
        ({"q1": {"1": 1.0}, "nobody": {"1": 1.0}}, "--queries does not have: nobody"),
        ({"q1": {"1": 1.0, "x7": 0.0, "x8": 1.0}}, "--texts does not have: x7, x8"),
        ({"q1": {"1": 1.0}}, "1 different queries, at least 50"),
    ],
)
def test_ids_that_do_not_exist_are_named(tmp_path: Path, preparer: Preparer, relevance: Judgements, said: str) -> None:
    with pytest.raises(ChooseError, match=said):
        judged(tmp_path, preparer, relevance)


def test_judged_ids_that_occur_twice_are_named(tmp_path: Path, preparer: Preparer) -> None:
    twice = write_lines(tmp_path / "twice.jsonl", [{"id": 1, "text": "a"}, {"id": "1", "text": "b"}])
    queries = write_lines(tmp_path / "q.jsonl", [{"id": "q", "text": "c"}])
    sources = open_source(str(twice), None, {}), open_source(str(queries), None, {})
    with pytest.raises(ChooseError, match="the id 1 occurs twice"):
        material.with_relevance(sources, (preparer, preparer), {"q": {"1": 1.0}}, SIZE)
