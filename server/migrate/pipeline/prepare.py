"""Validates, chunks and tokenizes records, and rejects those that cannot be embedded, with the reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import orjson

from server.errors import InvalidError
from server.inference.engine import Ids
from server.migrate.pipeline.chunk import Chunking
from server.migrate.record import Record
from server.migrate.sources.source import Broken
from server.model.tokenization import Encoded, Tokenizer

# The limit for texts that are chunked: all tokens of a text must fit into memory.
LONGEST_CHUNKED = 1 << 24
SHOWN = 5
# Fields that a chunk's row has in addition to those of its record.
DOCUMENT, CHUNK = CHUNK_FIELDS = ("document", "chunk")
# Advice for values that are not text, by type.
ADVICE: dict[type, str] = {
    dict: "; --text-field NAME.FIELD names a field in it",
    list: "; make it one text a record",
    bytes: "; store it as text, in UTF-8",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """The input of one vector, which becomes one row. `tokens` is the number of tokens before truncation."""

    ordinal: int
    id: str
    text: str
    ids: Ids
    tokens: int
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that cannot be embedded, with the reason; `id` is empty if it could not be read."""

    ordinal: int
    id: str
    reason: str


@dataclass(slots=True)
class Prepared:
    """The result for a window: each record is in `pieces`, once or (chunked) several times, or in `rejects`."""

    records: int
    next: int
    pieces: list[Piece] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)


class Preparer:
    """Tokenizes records for one model, prompt and chunking."""

    def __init__(self, tokenizer: Tokenizer, prompt: str, chunking: Chunking | None, longest: int) -> None:
        """Prepend `prompt` to each text or chunk; `longest` limits the characters of a text that is not chunked."""
        self._tokenizer = tokenizer
        self._prompt = prompt
        self._chunking = chunking
        self._longest = LONGEST_CHUNKED if chunking else longest

    def prepare(self, records: Sequence[Record], known: Mapping[int, str]) -> Prepared:
        """Tokenize a window of records; `known` gives errors found before, by ordinal."""
        prepared = Prepared(len(records), records[-1].ordinal + 1)
        cuts = [known.get(record.ordinal) or self._cut(record) for record in records]
        encodings = iter(self.encode([text for cut in cuts if not isinstance(cut, str) for text in cut]))
        for record, cut in zip(records, cuts, strict=True):
            outcome = cut if isinstance(cut, str) else self._pieces(record, cut, list(islice(encodings, len(cut))))
            if isinstance(outcome, str):
                prepared.rejects.append(Reject(record.ordinal, _printable(record.id), outcome))
            else:
                prepared.pieces += outcome
        return prepared

    def encode(self, texts: list[str]) -> list[Encoded | str]:
        """Return the token ids of each text, or an error message."""
        if not texts:
            return []
        try:
            return [*self._tokenizer.encode(texts, self._prompt)]
        except InvalidError as error:
            # One bad text fails the whole call, so each is tried alone; bad texts are rare.
            if len(texts) == 1:
                return [str(error).replace(" at index 0", "", 1)]
            return [encoded for text in texts for encoded in self.encode([text])]

    def _cut(self, record: Record) -> list[str] | str:
        """Return the texts to embed for a record, or an error message."""
        text = record.text
        if not isinstance(text, str):
            return _describe(text)
        if not _is_plain(record):
            return "its id or metadata cannot be written as JSON: a text in it holds a lone surrogate"
        if len(text) > self._longest:
            return (
                f"the text has {len(text)} characters, the limit is {self._longest}; "
                "cut it, use --chunk, or set MAX_TEXT_CHARS"
            )
        return self._chunks(record, text, self._chunking) if self._chunking else [text]

    def _chunks(self, record: Record, text: str, chunking: Chunking) -> list[str] | str:
        if taken := [name for name in CHUNK_FIELDS if name in record.metadata]:
            return (
                f"its field {taken[0]} has a name that --chunk needs; rename it, or leave it out of --metadata-fields"
            )
        try:
            return chunking.split(text, self._tokenizer.spans(text)) or "the text holds nothing to embed"
        except InvalidError as error:
            return str(error).replace(" at index 0", "", 1)

    def _pieces(self, record: Record, texts: list[str], encodings: list[Encoded | str]) -> list[Piece] | str:
        """Return all pieces of a record, or an error message if any of them cannot be embedded."""
        pieces: list[Piece] = []
        for chunk, (text, encoding) in enumerate(zip(texts, encodings, strict=True)):
            if isinstance(encoding, str):
                return encoding
            id_, metadata = record.id, record.metadata
            if self._chunking:
                id_, metadata = f"{record.id}#{chunk}", {**metadata, DOCUMENT: record.id, CHUNK: chunk}
            ids = np.array(encoding.ids, np.int64)
            pieces.append(Piece(record.ordinal, id_, text, ids, encoding.tokens, metadata))
        return pieces


def refusal(rejects: Sequence[Reject]) -> str:
    """Format the first of a window's rejects, a line each, and the way to skip them."""
    shown = rejects[:SHOWN]
    lines = [f"{_named(reject)} cannot be embedded: {reject.reason}" for reject in shown]
    more = [f"and {len(rejects) - SHOWN} more in this window"] if len(rejects) > SHOWN else []
    return "\n".join([*lines, *more, "run again with --on-error skip to leave such records out and list them"])


def _named(reject: Reject) -> str:
    return f"record {reject.ordinal}" + (f" (id {reject.id!r})" if reject.id else "")


def _printable(id_: str) -> str:
    return id_.encode("utf-8", "backslashreplace").decode()


def _is_plain(record: Record) -> bool:
    try:
        orjson.dumps((record.id, dict(record.metadata)))
    except TypeError:
        return False
    return True


def _describe(text: object) -> str:
    if isinstance(text, Broken):
        return text.reason
    if text is None:
        return "there is no text (null)"
    advice = next((advice for kind, advice in ADVICE.items() if isinstance(text, kind)), "")
    return f"not text but {type(text).__name__}{advice}"
