"""The sample of the user's texts and queries that everything is measured on, drawn in one pass over each input."""

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from server.choose.errors import ChooseError
from server.choose.judgements import Judgements
from server.choose.quality import FAR
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
    that the queries are texts of the user's, kept out of those that are searched.
    """

    texts: list[str]
    queries: list[str]
    relevance: list[dict[int, float]] = field(default_factory=list)
    held_out: bool = False
    skipped: int = 0
    reason: str = ""


@dataclass(slots=True)
class _Drawn:
    """The id and text of each usable record, how many others there were, and the first one's reason."""

    pairs: list[tuple[str, str]] = field(default_factory=list)
    skipped: int = 0
    reason: str = ""

    @property
    def distinct(self) -> list[str]:
        """The texts, each once."""
        return list(dict.fromkeys(text for _, text in self.pairs))


def without_queries(source: Source, preparer: Preparer, size: int) -> Material:
    """Draw `size` texts at most, and hold out others as queries.

    Raises:
        ChooseError: there are too few different texts.
    """
    sample = Reservoir[Record](size + MOST_QUERIES, SEED)
    _offer(source.records(0), sample)
    drawn = _usable(sample.shuffled(), preparer)
    distinct = drawn.distinct
    held = max(min(MOST_QUERIES, len(distinct) // HELD_OUT_SHARE), len(distinct) - size)
    made = Material(distinct[held:], distinct[:held], held_out=True, skipped=drawn.skipped, reason=drawn.reason)
    return _enough(made)


def with_queries(texts: Source, queries: Source, as_text: Preparer, as_query: Preparer, size: int) -> Material:
    """Draw `size` texts and MOST_QUERIES queries at most.

    Raises:
        ChooseError: there are too few different texts or queries.
    """
    sample, asked = Reservoir[Record](size, SEED), Reservoir[Record](MOST_QUERIES, SEED)
    _offer(queries.records(0), asked)
    wanted = _usable(asked.shuffled(), as_query)
    _offer(texts.records(0), sample)
    drawn = _usable(sample.shuffled(), as_text)
    return _enough(
        Material(
            drawn.distinct,
            wanted.distinct,
            skipped=drawn.skipped + wanted.skipped,
            reason=drawn.reason or wanted.reason,
        )
    )


def with_relevance(
    sources: tuple[Source, Source], preparers: tuple[Preparer, Preparer], judged: Judgements, size: int
) -> Material:
    """Draw judged queries, their relevant texts, and others up to `size`; texts come first in both pairs.

    Raises:
        ChooseError: relevance names ids that do not exist or exist twice, or there are too few texts or queries.
    """
    asked = Reservoir[Record](MOST_QUERIES, SEED)
    relevant = {query for query, grades in judged.items() if max(grades.values()) > 0}
    watched = _watched(sources[1].records(0), set(judged), "--queries")
    _offer((record for record in watched if record.id in relevant), asked)
    queries = _usable(asked.shuffled(), preparers[1])
    asked_texts = dict(queries.pairs)
    grades = {query: _most_relevant(judged[query]) for query in asked_texts}
    drawn = _draw_judged(sources[0], preparers[0], judged, grades, size)
    places = {text: place for place, text in enumerate(drawn.distinct)}
    wanted = {id_ for own in grades.values() for id_ in own}
    by_id = {id_: places[text] for id_, text in drawn.pairs if id_ in wanted}
    kept = {query: _by_place(own, by_id) for query, own in grades.items()}
    found = [query for query, own in kept.items() if own]
    return _enough(
        Material(
            list(places),
            [asked_texts[query] for query in found],
            [kept[query] for query in found],
            skipped=drawn.skipped + queries.skipped,
            reason=drawn.reason or queries.reason,
        )
    )


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


def _by_place(grades: Mapping[str, float], places: Mapping[str, int]) -> dict[int, float]:
    """Return grades by place; of texts with several ids, the greatest counts."""
    found: dict[int, float] = {}
    for text, grade in grades.items():
        if text in places:
            place = places[text]
            found[place] = max(grade, found.get(place, 0.0))
    return found


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
        drawn.pairs += [(piece.id, piece.text) for piece in prepared.pieces]
        drawn.skipped += len(prepared.rejects)
        if prepared.rejects and not drawn.reason:
            drawn.reason = prepared.rejects[0].reason
    return drawn


def _enough(made: Material) -> Material:
    least = {"texts to search": (len(made.texts), LEAST_TEXTS), "queries": (len(made.queries), LEAST_QUERIES)}
    for what, (count, needed) in least.items():
        if count < needed:
            origin = f", held out of {len(made.texts) + len(made.queries)} different ones" if made.held_out else ""
            skipped = f"; {made.skipped} records could not be used: {made.reason}" if made.skipped else ""
            raise ChooseError(
                f"{count} different {what}{origin}, at least {needed} are needed to say anything{skipped}"
            )
    return made
