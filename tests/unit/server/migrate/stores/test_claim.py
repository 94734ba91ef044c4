"""Whether a migration may write to an existing collection."""

from dataclasses import replace

import pytest

from server.migrate.errors import MigrateError
from server.migrate.sinks.sink import Target
from server.migrate.stores.claim import COMPLETE, ClaimStep, ExistingCollection, decide, mark, output_of
from server.model.output_types import TYPES, OutputName
from server.service.output import Output

BGE = "bge-large-en-v1.5"


def target(written: int = 0, *, fresh: bool = False, model: str = "all-MiniLM-L6-v2") -> Target:
    return Target(384, model, "int8", written, fresh)


SPACE = "all-MiniLM-L6-v2@0123456789ab/int8-01234567"
OTHER = "all-MiniLM-L6-v2@ba9876543210/int8-01234567"


def spaced(space: str, *, fresh: bool = False) -> Target:
    return Target(384, "all-MiniLM-L6-v2", "int8", 0, fresh, space=space)


def typed(name: OutputName, limit: float = 0.5, *, fresh: bool = False) -> Target:
    """Return a target for vectors of another type than float32."""
    return replace(target(fresh=fresh), output=Output(TYPES[name], limit=limit))


def held(rows: int, asked: Target | None = None, state: str = "growing") -> ExistingCollection:
    return ExistingCollection(mark(asked or target(), state), 384, rows)


@pytest.mark.parametrize(
    ("existing", "asked", "step"),
    [
        (None, target(), ClaimStep.CREATE),
        (None, target(fresh=True), ClaimStep.CREATE),
        (held(0), target(), ClaimStep.CONTINUE),
        (held(100), target(), ClaimStep.CONTINUE),
        (held(100), target(90), ClaimStep.CONTINUE),
        (held(100, state=COMPLETE), target(100), ClaimStep.CONTINUE),
        (held(100, state=COMPLETE), target(fresh=True), ClaimStep.REPLACE),
        (held(5, spaced(SPACE)), spaced(SPACE), ClaimStep.CONTINUE),
        (held(5, typed("int8")), typed("int8"), ClaimStep.CONTINUE),
        # Begun by a version that wrote no space.
        (held(5), spaced(SPACE), ClaimStep.CONTINUE),
    ],
)
def test_what_is_this_job_s_is_made_continued_or_replaced(
    existing: ExistingCollection | None, asked: Target, step: ClaimStep
) -> None:
    assert decide(existing, asked, "store#docs") is step


@pytest.mark.parametrize(
    ("existing", "asked", "said"),
    [
        (None, target(5), "has 0 rows where 5 were written"),
        (held(4), target(5), "has 4 rows where 5 were written"),
        (held(4, state=COMPLETE), target(), "is complete"),
        (ExistingCollection(None, 384, 9), target(), "exists .9 rows of 384 dimensions. and no migration made it"),
        (ExistingCollection({"owner": "me"}, None, 0), target(fresh=True), "no migration made it"),
        (held(4), target(fresh=True, model=BGE), "holds vectors of all-MiniLM-L6-v2 .* these are of bge-large"),
        (ExistingCollection(mark(target()), 1024, 4), target(), "holds vectors of"),
        (held(5, spaced(SPACE)), spaced(OTHER), rf"space {SPACE}\); these are of .*, space {OTHER}\)"),
        (held(5, spaced(SPACE)), spaced(OTHER, fresh=True), "holds vectors of"),
        (held(5), typed("int8"), r"384 dimensions in float\); .* in int8 of scale 0.00393"),
        (held(5, typed("ubinary")), target(), r"384 dimensions in ubinary\); .* in float\)"),
        (held(5, typed("int8")), typed("int8", 0.25, fresh=True), "holds vectors of"),
        (ExistingCollection({**mark(spaced(SPACE)), "embedding_job": "x"}, 384, 5), spaced(OTHER), "holds vectors of"),
    ],
)
def test_everything_else_is_refused(existing: ExistingCollection | None, asked: Target, said: str) -> None:
    with pytest.raises(MigrateError, match=said):
        decide(existing, asked, "store#docs")


def test_a_scale_is_of_a_range_that_unit_vectors_can_have() -> None:
    assert output_of({"embedding_dtype": "int8", "embedding_scale": repr(1 / 127)}).limit == pytest.approx(1)
    with pytest.raises(MigrateError, match=r"scale '0\.5', which are unknown"):
        output_of({"embedding_dtype": "int8", "embedding_scale": "0.5"})


def test_a_mark_of_an_unknown_type_or_without_its_scale_is_refused() -> None:
    assert output_of(mark(typed("int8"))) == typed("int8").output
    for changed in ({"embedding_dtype": "int4"}, {"embedding_scale": "nan"}, {"embedding_scale": ""}):
        with pytest.raises(MigrateError, match="which are unknown; a later version"):
            output_of({**mark(typed("int8")), **changed})
