"""`python -m bench.gpu.instant`: the server with an engine that takes no time, so that all else shows."""

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
    """Answers with random unit vectors of the model's dimension, always the same for the same place in a batch."""

    nodes_on_cpu = 0

    def __init__(self, _path: Path, dimension: int, max_tokens: int, _resources: Resources) -> None:
        self.dimension = dimension
        self.max_tokens = max_tokens
        rows = np.random.default_rng(1).standard_normal((_MOST_TEXTS, dimension), np.float32)
        self._vectors: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def report(self) -> Iterator[str]:
        """Nothing is used."""
        return iter(())

    def embed(self, sequences: Sequence[Tokens]) -> Vectors:
        """Return vectors of shape [len(sequences), dimension]."""
        return self._vectors[np.arange(len(sequences)) % _MOST_TEXTS]


def main() -> int:
    """Serve."""
    settings: dict[str, Any] = vars(startup)
    settings["OnnxEngine"] = InstantEngine
    return serve([], {**os.environ, "STREAMS": "1"})  # as a GPU has


if __name__ == "__main__":
    raise SystemExit(main())
