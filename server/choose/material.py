"""The sample of the user's texts and queries that everything is measured on, drawn in one pass over each input."""

import hashlib
import random
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from server.choose.errors import ChooseError
from server.choose.judgements import Judgements
from server.choose.quality import FAR
from server.inference.engine import Ids
from server.migrate.job.reservoir import Reservoir
from server.migrate.pipeline.prepare import Preparer
from server.migrate.record import Record
from server.migrate.sources.source import Broken, Source

SEED = 15
MOST_QUERIES = 1600
LEAST_QUERIES = 50
LEAST_TEXTS = FAR + 50
# Of a query with more relevant texts, so many are drawn; otherwise a few queries could fill the sample.
MOST_RELEVANT = 20
# A text without queries of its own is one in three of a small sample.
HELD_OUT_SHARE = 3
AT_ONCE = 64
LONGEST = 131_072
SHOWN = 5


@dataclass(slots=True)
class Material:
    """The texts that are searched and the queries, both in random order.

    `relevance` has the grades of each query's relevant texts by their places; empty if none are given. `held_out` says
    that the queries are texts of the user's, kept out of those that are searched. `asked` counts the texts left out
    because they are queries too: such a query would find itself, whatever the precision.
    """

    texts: list[str]
    queries: list[str]
    relevance: list[dict[int, float]] = field(default_factory=list)
    held_out: bool = False
    skipped: int = 0
    reason: str = ""
    asked: int = 0


class _UsableRecord(NamedTuple):
    """A record that can be embedded. Texts of one `key` have the same token ids, and so the same vector."""

    id: str
    text: str
    key: bytes


@dataclass(slots=True)
class _Drawn:
    """The usable records, how many others there were, and the first one's reason."""

    records: list[_UsableRecord] = field(default_factory=list)
    skipped: int = 0
    reason: str = ""

    @property
    def distinct(self) -> dict[bytes, str]:
        """The texts by key, each once: the first."""
        texts: dict[bytes, str] = {}
        for one in self.records:
            texts.setdefault(one.key, one.text)
        return texts

    def leave_out(self, keys: Collection[bytes], kept: Collection[str] = ()) -> int:
        """Remove the records that have one of the keys, except those whose ids are `kept`; return their number."""
        before = len(self.records)
        self.records = [one for one in self.records if one.key not in keys or one.id in kept]
        return before - len(self.records)


def without_queries(source: Source, preparer: Preparer, size: int) -> Material:
    """Draw `size` texts at most, and hold out others as queries.

    Raises:
        ChooseError: there are too few different texts.
    """
    sample = Reservoir[Record](size + MOST_QUERIES, SEED)
    _offer(source.records(0), sample)
    drawn = _usable(sample.shuffled(), preparer)
    distinct = list(drawn.distinct.values())
    held = max(min(MOST_QUERIES, len(distinct) // HELD_OUT_SHARE), len(distinct) - size)
    made = Material(distinct[held:], distinct[:held], held_out=True, skipped=drawn.skipped, reason=drawn.reason)
    return _enough(made)


def with_queries(texts: Source, queries: Source, as_text: Preparer, as_query: Preparer, size: int) -> Material:
    """Draw `size` texts and MOST_QUERIES queries at most; a text that is a query too is left out.

    Raises:
        ChooseError: there are too few different texts or queries.
    """
    sample, asked = Reservoir[Record](size, SEED), Reservoir[Record](MOST_QUERIES, SEED)
    _offer(queries.records(0), asked)
    wanted = _usable(asked.shuffled(), as_query)
    _offer(texts.records(0), sample)
    drawn = _usable(sample.shuffled(), as_text)
    asked_texts = list(wanted.distinct.values())
    left_out = drawn.leave_out(_keys(asked_texts, as_text))
    return _enough(
        Material(
            list(drawn.distinct.values()),
            asked_texts,
            skipped=drawn.skipped + wanted.skipped,
            reason=drawn.reason or wanted.reason,
            asked=left_out,
        )
    )


def with_relevance(
    sources: tuple[Source, Source], preparers: tuple[Preparer, Preparer], judged: Judgements, size: int
) -> Material:
    """Draw judged queries, their relevant texts, and others up to `size`; texts come first in both pairs.

    Queries of equal texts become one, with the relevant texts of all. A text that is a query too is left out, unless it
    is judged.

    Raises:
        ChooseError: relevance names ids that do not exist or exist twice, or there are too few texts or queries.
    """
    asked = Reservoir[Record](MOST_QUERIES, SEED)
    relevant = {query for query, grades in judged.items() if max(grades.values()) > 0}
    watched = _watched(sources[1].records(0), set(judged), "--queries")
    _offer((record for record in watched if record.id in relevant), asked)
    queries = _usable(asked.shuffled(), preparers[1])
    asked_texts = queries.distinct
    grades = {one.id: _most_relevant(judged[one.id]) for one in queries.records}
    drawn = _draw_judged(sources[0], preparers[0], judged, grades, size)
    named = {text for own in judged.values() for text in own}
    left_out = drawn.leave_out(_keys(list(asked_texts.values()), preparers[0]), kept=named)
    relevance = _relevance(queries, drawn, grades)
    return _enough(
        Material(
            list(drawn.distinct.values()),
            [asked_texts[key] for key in relevance],
            list(relevance.values()),
            skipped=drawn.skipped + queries.skipped,
            reason=drawn.reason or queries.reason,
            asked=left_out,
        )
    )


def _relevance(
    queries: _Drawn, drawn: _Drawn, grades: Mapping[str, Mapping[str, float]]
) -> dict[bytes, dict[int, float]]:
    """Return the grades by place of each query, by its key, that has a relevant text among those drawn.

    Of queries or texts with several ids, the greatest grade counts.
    """
    places = {key: place for place, key in enumerate(drawn.distinct)}
    wanted = {text for own in grades.values() for text in own}
    by_id = {one.id: places[one.key] for one in drawn.records if one.id in wanted}
    relevance: dict[bytes, dict[int, float]] = {}
    for query in queries.records:
        for text, grade in grades[query.id].items():
            if text in by_id:
                own, place = relevance.setdefault(query.key, {}), by_id[text]
                own[place] = max(grade, own.get(place, 0.0))
    return relevance


def _draw_judged(
    source: Source, preparer: Preparer, judged: Judgements, grades: Mapping[str, Mapping[str, float]], size: int
) -> _Drawn:
    wanted = {text for own in grades.values() for text in own}
    # Relevant texts that were not drawn would be found and count as errors.
    left_out = {text for query in grades for text, grade in judged[query].items() if grade > 0} - wanted
    named = {text for own in judged.values() for text in own}
    others = Reservoir[Record](max(size - len(wanted), size // 2), SEED)
    relevant: list[Record] = []
    for record in _watched(source.records(0), named, "--texts"):
        if record.id in wanted:
            relevant.append(_bounded(record))
        elif record.id not in left_out:
            others.add(_bounded(record))
    mixed = [*relevant, *others.items]
    # The earlier of two equally near texts counts as nearer.
    random.Random(SEED).shuffle(mixed)  # noqa: S311 - a sample, no secret
    return _usable(mixed, preparer)


def _watched(records: Iterable[Record], named: set[str], flag: str) -> Iterator[Record]:
    """Yield the records, and check that each of the ids `named` belongs to exactly one.

    Raises:
        ChooseError: an id belongs to none or to several.
    """
    seen: set[str] = set()
    for record in records:
        if record.id in named:
            if record.id in seen:
                raise ChooseError(f"{flag}: the id {record.id} occurs twice, so relevance does not say which is meant")
            seen.add(record.id)
        yield record
    if missing := sorted(named - seen):
        shown = ", ".join(missing[:SHOWN])
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise ChooseError(f"--qrels names ids that {flag} does not have: {shown}{more}; see --id-field")


def _most_relevant(grades: Mapping[str, float]) -> dict[str, float]:
    own = sorted((text, grade) for text, grade in grades.items() if grade > 0)
    if len(own) > MOST_RELEVANT:
        own = random.Random(SEED).sample(own, MOST_RELEVANT)  # noqa: S311 - a sample, no secret
    return dict(own)


def _offer(records: Iterable[Record], sample: Reservoir[Record]) -> None:
    for record in records:
        sample.add(_bounded(record))


def _bounded(record: Record) -> Record:
    """Return the record, without its text if that is so long that a sample of such texts would not fit into memory."""
    if isinstance(record.text, str) and len(record.text) > LONGEST:
        return Record(record.ordinal, record.id, Broken(f"the text has more than {LONGEST} characters"))
    return record


def _usable(records: list[Record], preparer: Preparer) -> _Drawn:
    drawn = _Drawn()
    for start in range(0, len(records), AT_ONCE):
        prepared = preparer.prepare(records[start : start + AT_ONCE], {})
        drawn.records += [_UsableRecord(piece.id, piece.text, _key(piece.ids)) for piece in prepared.pieces]
        drawn.skipped += len(prepared.rejects)
        if prepared.rejects and not drawn.reason:
            drawn.reason = prepared.rejects[0].reason
    return drawn


def _keys(texts: list[str], preparer: Preparer) -> set[bytes]:
    """Return the keys that the texts have under a preparer."""
    keys: set[bytes] = set()
    for start in range(0, len(texts), AT_ONCE):
        encoded = preparer.encode(texts[start : start + AT_ONCE])
        keys |= {_key(np.array(one.ids, np.int64)) for one in encoded if not isinstance(one, str)}
    return keys


def _key(ids: Ids) -> bytes:
    return hashlib.blake2b(ids.tobytes(), digest_size=16).digest()


def _enough(made: Material) -> Material:
    least = {"texts to search": (len(made.texts), LEAST_TEXTS), "queries": (len(made.queries), LEAST_QUERIES)}
    for what, (count, needed) in least.items():
        if count < needed:
            origin = f", held out of {len(made.texts) + len(made.queries)} different ones" if made.held_out else ""
            skipped = f"; {made.skipped} records could not be used: {made.reason}" if made.skipped else ""
            asked = f"; {made.asked} texts are queries too" if made.asked else ""
            raise ChooseError(
                f"{count} different {what}{origin}, at least {needed} are needed to say anything{skipped}{asked}"
            )
    return made
