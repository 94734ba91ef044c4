import pytest

from server.migrate.pipeline.chunk import Chunking
from server.migrate.pipeline.prepare import Preparer
from server.migrate.record import Record
from server.migrate.sources.source import Broken
from server.model.artifact import Artifact
from server.model.tokenization import Tokenizer
from tests.unit.server import tiny


@pytest.fixture
def tokenizer(artifact: Artifact) -> Tokenizer:
    return Tokenizer(artifact.tokenizer_path, tiny.MAX_TOKENS)


def records(*texts: object) -> list[Record]:
    return [Record(ordinal, f"id{ordinal}", text) for ordinal, text in enumerate(texts)]


def test_good_records_become_pieces_in_order_and_bad_ones_rejects_with_reasons(tokenizer: Tokenizer) -> None:
    given = records("a cat", None, "", "the dog", 7, "\u200b", "a\ud800", Broken("line 8 is not JSON"), "b" * 99)
    prepared = Preparer(tokenizer, "", None, 50).prepare(given, {})
    assert [(piece.ordinal, piece.id, piece.text) for piece in prepared.pieces] == [
        (0, "id0", "a cat"),
        (3, "id3", "the dog"),
    ]
    reasons = {reject.ordinal: reject.reason for reject in prepared.rejects}
    assert list(reasons) == [1, 2, 4, 5, 6, 7, 8]
    assert reasons[1] == "there is no text (null)"
    assert reasons[2].startswith("the text holds nothing to embed")
    assert reasons[4] == "not text but int"
    assert "lone surrogate" in reasons[6]
    assert reasons[7] == "line 8 is not JSON"
    assert "99 characters, the limit is 50" in reasons[8]
    assert (prepared.records, prepared.next) == (9, 9)


@pytest.mark.parametrize(
    ("text", "said"),
    [({"a": 1}, "dict; --text-field NAME.FIELD"), ([1], "list; make it one text"), (b"a", "bytes; store it as text")],
)
def test_a_text_of_another_type_is_told_with_what_to_do(tokenizer: Tokenizer, text: object, said: str) -> None:
    (reject,) = Preparer(tokenizer, "", None, 50).prepare(records(text), {}).rejects
    assert said in reject.reason


def test_what_is_known_to_be_wrong_is_rejected(tokenizer: Tokenizer) -> None:
    prepared = Preparer(tokenizer, "", None, 50).prepare(records("a", "b"), {1: "its id came before"})
    assert [reject.reason for reject in prepared.rejects] == ["its id came before"]


def test_the_prompt_is_tokenized_and_not_kept(tokenizer: Tokenizer) -> None:
    (piece,) = Preparer(tokenizer, "query: ", None, 50).prepare(records("cat"), {}).pieces
    assert piece.ids.tolist() == tokenizer.encode(["query: cat"])[0].ids
    assert piece.text == "cat"


def test_truncation_is_to_be_seen(tokenizer: Tokenizer) -> None:
    (piece,) = Preparer(tokenizer, "", None, 500).prepare(records("cat " * 40), {}).pieces
    assert (len(piece.ids), piece.tokens) == (tiny.MAX_TOKENS, 42)


def test_chunks_have_the_record_s_id_and_their_number(tokenizer: Tokenizer) -> None:
    preparer = Preparer(tokenizer, "", Chunking(8, 2), 50)
    text = "a b c the cat dog sat query a b c"
    prepared = preparer.prepare([Record(0, "x", text, {"n": 1}), Record(1, "y", "cat")], {})
    assert [(piece.id, piece.text) for piece in prepared.pieces] == [
        ("x#0", "a b c the cat dog sat query"),
        ("x#1", "sat query a b c"),
        ("y#0", "cat"),
    ]
    assert prepared.pieces[1].metadata == {"n": 1, "document": "x", "chunk": 1}


def test_a_field_of_the_record_is_not_overwritten_by_one_of_the_chunk(tokenizer: Tokenizer) -> None:
    given = [Record(0, "x", "cat", {"document": "d"}), Record(1, "y", "dog", {"chunk": 1})]
    rejects = Preparer(tokenizer, "", Chunking(8, 2), 50).prepare(given, {}).rejects
    assert ["document has a name" in reject.reason for reject in rejects] == [True, False]
    assert "chunk has a name that --chunk needs" in rejects[1].reason
    assert not Preparer(tokenizer, "", None, 50).prepare(given, {}).rejects


def test_chunking_lifts_the_limit_on_characters_and_rejects_as_ever(tokenizer: Tokenizer) -> None:
    preparer = Preparer(tokenizer, "", Chunking(8, 2), 50)
    prepared = preparer.prepare(records("cat " * 40, " ", "a\ud800", None), {})
    assert {piece.ordinal for piece in prepared.pieces} == {0}
    assert [reject.ordinal for reject in prepared.rejects] == [1, 2, 3]


def test_an_id_or_metadata_that_no_format_could_hold_is_rejected(tokenizer: Tokenizer) -> None:
    given = [Record(0, "\ud800", "a"), Record(1, "x", "a", {"n": "\udfff"}), Record(2, "y", "a", {"n": 1 << 70})]
    prepared = Preparer(tokenizer, "", None, 50).prepare(given, {})
    assert [(reject.ordinal, reject.id) for reject in prepared.rejects] == [(0, "\\ud800"), (1, "x"), (2, "y")]
