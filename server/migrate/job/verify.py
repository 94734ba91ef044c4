"""Verifies a finished target: counts its rows, and compares a sample with the same texts embedded again."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.errors import InferenceError
from server.inference.engine import Vectors, check_vectors
from server.migrate.errors import MigrateError
from server.migrate.job import sample
from server.migrate.sinks.sink import Sink
from server.migrate.stores.stored import chunks
from server.model.manifest import Precision
from server.model.stored_codes import closeness, least_closeness
from server.service.output import FLOAT32, Output

# The least cosine between a text's vectors from two different batches, by precision (docs/quantization.md).
AGREEMENT: dict[Precision, float] = {"fp32": 0.99999, "fp16": 0.9999, "int8": 0.999, "int8-static": 0.999}
SHOWN = 5
# How many rows of the sample are in memory at a time.
AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Verified:
    """Rows counted, rows read back, and the lowest cosine between a stored vector and its text embedded again.

    `least_cosine` is None if there are no rows to compare.
    """

    rows: int
    sample: int
    least_cosine: float | None


def verify(
    sink: Sink,
    rows: int,
    kept: Path,
    again: Callable[[list[str]], Vectors],
    precision: Precision,
    output: Output = FLOAT32,
) -> Verified:
    """Count the finished target's rows, read a sample back by place and id, embed its texts `again`, and compare.

    The rows hold vectors in the form `output`.

    Raises:
        MigrateError: anything differs.
    """
    count = sink.count()
    if count != rows:
        raise MigrateError(f"the target holds {count} rows, {rows} were written to it; run with --restart")
    drawn = sample.draw(kept)
    least = 1.0
    for part in chunks(drawn, AT_ONCE):
        least = min(least, _nearness(sink, part, again, least_agreement(precision, output), output))
    return Verified(rows, len(drawn), least if drawn else None)


def least_agreement(precision: Precision, output: Output) -> float:
    """Return the least of `cosines` between stored vectors of a precision, in the form `output`, and others of it."""
    return least_closeness(output.kind, AGREEMENT[precision])


def _nearness(
    sink: Sink,
    part: list[tuple[int, str, str]],
    again: Callable[[list[str]], Vectors],
    agreement: float,
    output: Output,
) -> float:
    """Return the lowest cosine between stored vectors and their texts (place, id, text) embedded `again`."""
    stored = sink.fetch([(place, id_) for place, id_, _ in part])
    lost = [id_ for _, id_, _ in part if id_ not in stored]
    if lost:
        raise MigrateError(f"{len(lost)} of {len(part)} sampled ids are not in the target, such as {lost[:SHOWN]}")
    near = cosines(np.stack([stored[id_] for _, id_, _ in part]), again([text for _, _, text in part]), output)
    worst = int(near.argmin())
    if not near[worst] >= agreement:
        raise MigrateError(
            f"the vector of {part[worst][1]} in the target has a cosine of {near[worst]:.6f} to its text embedded "
            f"again, expected at least {agreement:.8g}; run with --restart"
        )
    return float(near[worst])


def cosines(stored: NDArray[Any], expected: Vectors, output: Output = FLOAT32) -> NDArray[np.floating]:
    """Return the cosine of each row to its counterpart of `expected`, [rows, dimension].

    `stored` are vectors in the form `output`. Codes stand for many vectors: theirs is the largest cosine of one of them
    (`stored_codes.closeness`), so that it is 1 where they are the codes of `expected`.

    Raises:
        MigrateError: `stored` has another shape, or a row of it is not a finite unit vector, or no codes.
    """
    kind = output.kind
    try:
        if kind.scaled or kind.packed:
            return closeness(stored, expected, kind, output.limit)
        vectors = check_vectors(stored.astype(np.float32, copy=False), *expected.shape)
    except (InferenceError, ValueError) as error:
        raise MigrateError(f"what the target holds is not what was written: {error}") from None
    # fp16 graphs round the norm itself.
    norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(expected, axis=1)
    result: NDArray[np.floating] = (vectors * expected).sum(axis=1) / norms
    return result
