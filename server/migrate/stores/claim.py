"""Whether a migration may write into what a store already has under the target's name. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from server.migrate.errors import MigrateError
from server.migrate.sinks.sink import Target

MODEL, PRECISION, DIMENSION = "embedding_model", "embedding_precision", "embedding_dimension"
# Whether all rows are there: for the reader who is about to cut over, and against a second job on the same target.
# Which job made it, by the id in its journal's folder; what was made before there were ids has none.
JOB = "embedding_job"
STATE, GROWING, COMPLETE = "embedding_state", "growing", "complete"


@dataclass(frozen=True, slots=True)
class Held:
    """What a store has under a name. `mark` is what a migration left there; `dimension` is None where none shows."""

    mark: Mapping[str, Any] | None
    dimension: int | None
    rows: int


class ClaimStep(Enum):
    """What to do with it."""

    CREATE = "create"
    REPLACE = "replace"
    CONTINUE = "continue"


def mark(target: Target, state: str = GROWING) -> dict[str, str]:
    """Return what is left on a target, so that it is known again and tells its readers what made its vectors."""
    maker = {JOB: target.made.job} if target.made.job else {}
    found = {MODEL: target.model, PRECISION: target.precision, DIMENSION: str(target.dimension), STATE: state}
    return {**found, **maker}


def decide(held: Held | None, target: Target, where: str) -> ClaimStep:
    """Decide how the target is opened.

    Only what this job made, of the same model, precision and dimension, is continued or replaced: vectors of two models
    never share a collection, two jobs never share one, and nothing that someone else made is written into or deleted.

    Raises:
        MigrateError: it may not be used, or rows on record are missing from it.
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


def _check_maker(held: Held, target: Target, where: str) -> None:
    way_out = "Choose another name in --output, or delete it yourself"
    wanted = {name: value for name, value in mark(target).items() if name not in (STATE, JOB)}
    if held.mark is None or MODEL not in held.mark:
        size = f"{held.rows} rows" + (f" of {held.dimension} dimensions" if held.dimension else "")
        raise MigrateError(f"{where} exists ({size}) and no migration made it. {way_out}")
    found = {name: str(held.mark.get(name)) for name in wanted}
    if str(held.mark.get(JOB, target.made.job)) != target.made.job:
        raise MigrateError(
            f"{where} was made by another job. Go on with that one, where it was begun or with its --journal. {way_out}"
        )
    if found != wanted or held.dimension not in (None, target.dimension):
        raise MigrateError(f"{where} holds vectors of {_named(found)}; these are of {_named(wanted)}. {way_out}")


def _check_rows(rows: int, target: Target, where: str) -> None:
    if not target.fresh and rows < target.written:
        raise MigrateError(
            f"{where} has {rows} rows where {target.written} were written: some are lost. Run with --restart"
        )


def _check_turn(held: Held, target: Target, where: str) -> None:
    if not target.written and held.rows and (held.mark or {}).get(STATE) == COMPLETE:
        raise MigrateError(
            f"{where} is complete ({held.rows} rows); choose another name in --output, or replace it with --restart"
        )


def _named(marks: Mapping[str, str]) -> str:
    return f"{marks[MODEL]} ({marks[PRECISION]}, {marks[DIMENSION]} dimensions)"
