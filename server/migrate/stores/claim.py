"""Decides whether a migration may write to an existing collection, by the mark that migrations leave on it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from server.migrate.errors import MigrateError
from server.migrate.sinks.sink import Target
from server.model.output_types import FLOAT
from server.service.output import Output

MODEL, PRECISION, DIMENSION = "embedding_model", "embedding_precision", "embedding_dimension"
# The id of the embedding space (docs/space.md); earlier versions wrote none.
SPACE = "embedding_space"
# The output type and, for int8 and uint8, its scale; float32 has neither.
DTYPE, SCALE = "embedding_dtype", "embedding_scale"
# The id of the job that created the collection, from its journal's folder; earlier versions wrote none.
JOB = "embedding_job"
# Whether all rows are there: tells users when to cut over, and keeps a second job from the same target.
STATE, GROWING, COMPLETE = "embedding_state", "growing", "complete"


@dataclass(frozen=True, slots=True)
class ExistingCollection:
    """An existing collection. `mark` is the mark left by a migration, if any.

    `dimension` counts the components of its vectors, None if it is unknown.
    """

    mark: Mapping[str, Any] | None
    dimension: int | None
    rows: int


class ClaimStep(Enum):
    """How to open the target."""

    CREATE = "create"
    REPLACE = "replace"
    CONTINUE = "continue"


def mark(target: Target, state: str = GROWING) -> dict[str, str]:
    """Return the mark of a target, which identifies it to later runs and tells users what its vectors are."""
    known = {SPACE: target.space, **target.output.marks(DTYPE, SCALE), JOB: target.made.job}
    fields = {MODEL: target.model, PRECISION: target.precision, DIMENSION: str(target.dimension), STATE: state}
    return {**fields, **{name: value for name, value in known.items() if value}}


def space_of(held: Mapping[str, Any] | None) -> str:
    """Return the id of the embedding space in a mark; empty if it says none."""
    return str((held or {}).get(SPACE, ""))


def output_of(held: Mapping[str, Any] | None) -> Output:
    """Return the type of the vectors of a collection with this mark; float32 if it says none.

    Raises:
        MigrateError: it is none of this version's.
    """
    try:
        return Output.of_marks(held or {}, DTYPE, SCALE)
    except ValueError as error:
        raise MigrateError(f"the collection {error}; a later version may have written it") from None


def decide(held: ExistingCollection | None, target: Target, where: str) -> ClaimStep:
    """Decide how to open the target.

    A collection is continued or replaced only if this job created it with the same model, precision, dimension, output
    type and embedding space, if both say one. So vectors of two spaces or two jobs never share a collection, and other
    collections are never written to or deleted.

    Raises:
        MigrateError: the target must not be used, or recorded rows are missing from it.
    """
    if held is None:
        _check_rows(0, target, where)
        return ClaimStep.CREATE
    _check_maker(held, target, where)
    if target.fresh:
        return ClaimStep.REPLACE
    _check_rows(held.rows, target, where)
    _check_turn(held, target, where)
    return ClaimStep.CONTINUE


def _check_maker(held: ExistingCollection, target: Target, where: str) -> None:
    way_out = "Choose another name in --output, or delete it yourself"
    wanted = {name: value for name, value in mark(target).items() if name not in (STATE, JOB)}
    if held.mark is None or MODEL not in held.mark:
        size = f"{held.rows} rows" + (f" of {held.dimension} dimensions" if held.dimension else "")
        raise MigrateError(f"{where} exists ({size}) and no migration made it. {way_out}")
    if SPACE not in held.mark:
        wanted.pop(SPACE, None)
    typed = [name for name in (DTYPE, SCALE) if name in held.mark]
    marked = {name: str(held.mark[name]) for name in [*wanted, *typed] if name in held.mark}
    if marked != wanted or held.dimension not in (None, target.dimension):
        raise MigrateError(f"{where} holds vectors of {_named(marked)}; these are of {_named(wanted)}. {way_out}")
    if str(held.mark.get(JOB, target.made.job)) != target.made.job:
        raise MigrateError(
            f"{where} was made by another job. Go on with that one, where it was begun or with its --journal. {way_out}"
        )


def _check_rows(rows: int, target: Target, where: str) -> None:
    if not target.fresh and rows < target.written:
        raise MigrateError(
            f"{where} has {rows} rows where {target.written} were written: some are lost. Run with --restart"
        )


def _check_turn(held: ExistingCollection, target: Target, where: str) -> None:
    if not target.written and held.rows and (held.mark or {}).get(STATE) == COMPLETE:
        raise MigrateError(
            f"{where} is complete ({held.rows} rows); choose another name in --output, or replace it with --restart"
        )


def _named(marks: Mapping[str, str]) -> str:
    space = f", space {marks[SPACE]}" if SPACE in marks else ""
    scale = f" of scale {marks[SCALE]}" if SCALE in marks else ""
    size = f"{marks.get(DIMENSION)} dimensions in {marks.get(DTYPE, FLOAT.name)}{scale}"
    return f"{marks[MODEL]} ({marks.get(PRECISION)}, {size}{space})"
