"""The contenders: one module each, run by `bench.worker` in the environment that has what the module imports.

A module has `load(task)`, which returns a `Contender`; `PACKAGES`, whose versions the report names; and, where its
model must be converted first, `prepare(task)`, which is called once, in a process of its own, and keeps the result
under `task.cache`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Task:
    """What to load and how: it travels to the worker as JSON, so all fields are plain.

    `precision` is the contender's; `source` is the folder of the original weights; `cache` keeps conversions;
    `batch_tokens` is the server's own limit of a batch; `device` is cpu or cuda, for those that know both.
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
    device: str = "cpu"


class Contender(Protocol):
    """A model that is ready to compute."""

    def run(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        """Return unit vectors [len(sequences), dimension] of token ids, special tokens included. Blocking."""
        ...

    def notes(self) -> dict[str, Any]:
        """What the report should say of how it runs, such as a precision that the library chose."""
        ...
