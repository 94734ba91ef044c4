"""The contenders: one module each, run by `bench.worker` in the module's own Python environment.

A module defines `load(task)`, which returns a `Contender`; `PACKAGES`, the packages whose versions are reported; and,
if the model must be converted first, `prepare(task)`, which runs once in a separate process and stores its output under
`task.cache`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Task:
    """What to load and how; sent to the worker as JSON, so all fields are JSON types.

    `precision` is the contender's; `source` is the folder of the original weights; `cache` is the folder for converted
    models; `batch_tokens` is the server's batch limit; `layers`: it has layers after pooling; `device` is cpu or
    cuda.
    """

    model: str
    precision: str
    threads: int
    models_dir: str
    batch_tokens: int
    dimension: int
    pooling: str
    source: str
    cache: str
    layers: bool = False
    device: str = "cpu"


class Contender(Protocol):
    """A loaded model."""

    def run(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        """Return unit vectors [len(sequences), dimension] for token ids, special tokens included. Blocking."""
        ...

    def notes(self) -> dict[str, Any]:
        """Return run-time details for the report, such as a precision that the library chose."""
        ...
