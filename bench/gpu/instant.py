"""`python -m bench.gpu.instant`: the server with a no-op engine, to measure everything else."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from server.__main__ import main as serve
from server.inference.engine import Resources, Tokens, Vectors
from server.service import startup

_MOST_TEXTS = 4096


class InstantEngine:
    """Returns precomputed random unit vectors of the model's dimension, one per position in the batch."""

    nodes_on_cpu = 0

    def __init__(self, _path: Path, dimension: int, max_tokens: int, _resources: Resources) -> None:
        self.dimension = dimension
        self.max_tokens = max_tokens
        rows = np.random.default_rng(1).standard_normal((_MOST_TEXTS, dimension), np.float32)
        self._vectors: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def report(self) -> Iterator[str]:
        """Report nothing."""
        return iter(())

    def embed(self, sequences: Sequence[Tokens]) -> Vectors:
        """Return unit vectors [len(sequences), dimension]."""
        return self._vectors[np.arange(len(sequences)) % _MOST_TEXTS]


def main() -> int:
    """Run the server with the no-op engine."""
    settings: dict[str, Any] = vars(startup)
    settings["OnnxEngine"] = InstantEngine
    return serve([], {**os.environ, "STREAMS": "1"})  # as on a GPU


if __name__ == "__main__":
    raise SystemExit(main())
