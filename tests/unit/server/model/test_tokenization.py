import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import InvalidError, StartError
from server.model import tokenization
from server.model.tokenization import Tokenizer, mark
from tests.unit.server.tiny import CLS, MAX_TOKENS, SEP, WORDS, write_tokenizer

WORD_IDS = st.lists(st.integers(3, len(WORDS) - 1), min_size=1, max_size=40)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    write_tokenizer(path)
    return Tokenizer(path, MAX_TOKENS)


def text_of(ids: list[int]) -> str:
    return " ".join(WORDS[id_] for id_ in ids)


def test_the_files_own_padding_and_truncation_are_switched_off(tokenizer: Tokenizer) -> None:
    (short, long) = tokenizer.encode(["a", "a b c d a b c d"])
    assert short.ids == [CLS, 3, SEP]
    assert (long.tokens, long.truncated) == (10, False)


@given(words=WORD_IDS)
def test_truncation_keeps_one_end_and_the_special_tokens(tokenizer: Tokenizer, words: list[int]) -> None:
    room = MAX_TOKENS - 2
    for truncate, kept in (("END", words[:room]), ("START", words[-room:])):
        (encoded,) = tokenizer.encode([text_of(words)], "", truncate)  # type: ignore[arg-type]
        assert encoded.ids == [CLS, *kept, SEP]
        assert encoded.tokens == len(words) + 2
        assert encoded.truncated is (len(words) > room)


@given(words=WORD_IDS, truncate=st.sampled_from(["END", "START"]))
def test_the_prompt_survives_truncation_at_either_end(
    tokenizer: Tokenizer, words: list[int], truncate: tokenization.Truncation
) -> None:
    prompt = [WORDS.index("query"), WORDS.index(":")]
    room = MAX_TOKENS - 2 - len(prompt)
    (encoded,) = tokenizer.encode([text_of(words)], "query: ", truncate)
    kept = words[:room] if truncate == "END" else words[-room:]
    assert encoded.ids == [CLS, *prompt, *kept, SEP]


PROMPT = [WORDS.index("query"), WORDS.index(":")]


@pytest.fixture(scope="module")
def marking(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("marking") / "tokenizer.json"
    write_tokenizer(path)
    return Tokenizer(path, MAX_TOKENS, {"query: ": 3})


@given(words=WORD_IDS, truncate=st.sampled_from(["END", "START"]))
def test_what_is_not_pooled_of_a_text_with_a_prompt_is_marked(
    marking: Tokenizer, tokenizer: Tokenizer, words: list[int], truncate: tokenization.Truncation
) -> None:
    (expected,) = tokenizer.encode([text_of(words)], "query: ", truncate)
    (marked,) = marking.encode([text_of(words)], "query: ", truncate)
    assert marked.ids == [*map(mark, [CLS, *PROMPT]), *expected.ids[3:]]
    assert [max(id_, mark(id_)) for id_ in marked.ids] == expected.ids
    assert (marked.tokens, marked.truncated) == (expected.tokens, expected.truncated)


def test_token_ids_get_marks_with_a_prompt_only(marking: Tokenizer) -> None:
    assert marking.encode([[CLS, 3, SEP]], "query: ")[0].ids == [*map(mark, [CLS, *PROMPT]), 3, SEP]
    assert marking.encode([[CLS, 3, SEP]])[0].ids == marking.encode(["a"])[0].ids == [CLS, 3, SEP]
    assert marking.encode(["a"], "other: ")[0].ids[0] == CLS


def test_a_text_within_a_prompt_that_is_not_pooled_is_refused(marking: Tokenizer) -> None:
    with pytest.raises(InvalidError, match="index 1 holds nothing"):
        marking.encode(["a", " "], "query: ")


def test_a_prompt_longer_than_the_model_still_leaves_room_for_the_text(tokenizer: Tokenizer) -> None:
    (encoded,) = tokenizer.encode(["the cat"], "a " * 40, "START")
    assert len(encoded.ids) == MAX_TOKENS
    assert encoded.ids[-2:] == [WORDS.index("cat"), SEP]


def test_none_refuses_with_index_tokens_and_limit(tokenizer: Tokenizer) -> None:
    with pytest.raises(InvalidError, match="index 1 has 32 tokens, the limit is 16"):
        tokenizer.encode(["a", "a " * 30], "", "NONE")


@pytest.mark.parametrize("text", ["", " \n\t", "\0", "\u200d\u200b", "\u0301"])
@pytest.mark.parametrize("prompt", ["", "query: "])
def test_a_text_without_content_is_refused_by_index(tokenizer: Tokenizer, text: str, prompt: str) -> None:
    with pytest.raises(InvalidError, match="index 1 holds nothing"):
        tokenizer.encode(["a", text], prompt)


@pytest.mark.parametrize("length", [1, tokenization.PARALLEL_CHARACTERS])
def test_a_lone_surrogate_is_refused_by_index(tokenizer: Tokenizer, length: int) -> None:
    with pytest.raises(InvalidError, match="index 1 holds a lone surrogate at character 2"):
        tokenizer.encode(["a" * length, "a \ud800"])


def test_many_texts_encode_as_each_alone(tokenizer: Tokenizer) -> None:
    texts = [text_of([3 + number % 5] * (1 + number % 20)) for number in range(400)]
    assert sum(map(len, texts)) > tokenization.PARALLEL_CHARACTERS
    assert tokenizer.encode(texts) == [tokenizer.encode([text])[0] for text in texts]


def test_special_tokens_in_a_text_are_content(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode(["[CLS]"])[0].tokens > 2


def test_a_file_that_is_no_tokenizer_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text("{}")
    with pytest.raises(StartError, match=r"broken\.json is not a tokenizer"):
        Tokenizer(path, MAX_TOKENS)


def test_a_tokenizer_whose_template_names_an_unknown_token_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    write_tokenizer(path)
    settings = json.loads(path.read_text("utf-8"))
    del settings["post_processor"]["special_tokens"]["[SEP]"]
    path.write_text(json.dumps(settings), "utf-8")
    with pytest.raises(StartError, match=r"t\.json cannot encode a text"):
        Tokenizer(path, MAX_TOKENS)


def test_a_model_that_reads_no_more_than_special_tokens_is_refused(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "t.json")
    with pytest.raises(StartError, match="adds 2 special tokens"):
        Tokenizer(tmp_path / "t.json", 2)


def test_token_ids_are_taken_as_they_are(tokenizer: Tokenizer) -> None:
    text = "the cat sat"
    (by_text,), (by_prompt,) = tokenizer.encode([text]), tokenizer.encode([text], "query: ")
    (taken,), (prompted,) = tokenizer.encode([by_text.ids]), tokenizer.encode([by_text.ids], "query: ")
    assert (taken, prompted) == (by_text, by_prompt)
    (cut,) = tokenizer.encode([[CLS, *[3] * 40, SEP]])
    assert (len(cut.ids), cut.tokens) == (MAX_TOKENS, 42)


def test_the_end_of_token_ids_may_be_missing(tokenizer: Tokenizer) -> None:
    (whole,), (cut,) = tokenizer.encode([[CLS, 3, 4, SEP]]), tokenizer.encode([[CLS, 3, 4]])
    assert whole == cut


def test_a_text_is_split_without_truncation(tokenizer: Tokenizer) -> None:
    pieces = tokenizer.split("the  cat")
    assert [pieces.text[start:stop] for start, stop in pieces.offsets] == ["", "the", "cat", ""]
    assert (pieces.names[0], pieces.special) == ("[CLS]", [1, 0, 0, 1])
    assert pieces.ids == tokenizer.encode(["the cat"])[0].ids
    assert len(tokenizer.split("a " * 40, special=False).ids) == 40


def test_a_long_text_is_split_like_a_short_one(tokenizer: Tokenizer) -> None:
    count = tokenization.PARALLEL_CHARACTERS
    short, long = tokenizer.split("a the "), tokenizer.split("a the " * count)
    assert long.ids == [CLS, *short.ids[1:-1] * count, SEP]
    shift = 6 * (count - 1)
    assert long.offsets[-3:-1] == [(start + shift, end + shift) for start, end in short.offsets[1:3]]
    assert long.words[-2] == 2 * count - 1


def test_an_id_without_an_embedding_matters_only_where_it_is_kept(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "tokenizer.json")
    tokenizer = Tokenizer(tmp_path / "tokenizer.json", MAX_TOKENS)
    tokenizer.computable = len(WORDS) - 1
    unknown, known = WORDS[-1], text_of([3] * MAX_TOKENS)
    (cut,) = tokenizer.encode([f"{known} {unknown}"])
    assert cut.ids == [CLS, *[3] * (MAX_TOKENS - 2), SEP]
    for text, truncate in ((unknown, "END"), (f"{unknown} {known}", "END"), (f"{known} {unknown}", "START")):
        with pytest.raises(InvalidError, match=r"has a token, with the id \d+, that this model has no"):
            tokenizer.encode([text], "", truncate)  # type: ignore[arg-type]


def test_a_lone_surrogate_cannot_be_split(tokenizer: Tokenizer) -> None:
    with pytest.raises(InvalidError, match="lone surrogate"):
        tokenizer.split("a \ud800")
    with pytest.raises(InvalidError, match="lone surrogate"):
        tokenizer.split("a " * tokenization.PARALLEL_CHARACTERS + "\ud800")


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        ([CLS, len(WORDS), SEP], f"from 0 to {len(WORDS) - 1}"),
        ([CLS, -1, SEP], "from 0"),
        ([3, 4], "must begin with"),
        ([], "must begin with"),
        ([CLS], "nothing to embed"),
        ([CLS, 3], "nothing to embed"),
        ([CLS, SEP], "nothing to embed"),
    ],
)
def test_token_ids_of_another_tokenizer_are_refused(tokenizer: Tokenizer, ids: list[int], said: str) -> None:
    with pytest.raises(InvalidError, match=said):
        tokenizer.encode([ids])
