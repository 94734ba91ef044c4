"""`python -m tests.faults.volume FLAGS`: run a migration with a fake engine, then print its peak memory in KB."""

import resource
import sys
from collections.abc import Sequence

import numpy as np

from server.inference.engine import Tokens, Vectors
from server.migrate.__main__ import main
from server.migrate.commands.model import JobModel
from server.migrate.pipeline.parallel_engine import ParallelEngine


class Instant:
    """A fake engine: unit vectors derived from the sum of the token ids."""

    dimension = 384
    max_tokens = 256

    def embed(self, sequences: Sequence[Tokens]) -> Vectors:
        angles = np.array([sum(map(int, sequence)) % 1000 for sequence in sequences], np.float32) / 200
        vectors = np.zeros((len(sequences), self.dimension), np.float32)
        vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
        return vectors


def start(_model: JobModel) -> tuple[ParallelEngine, int]:
    return ParallelEngine(Instant(), 2), 1024


if __name__ == "__main__":
    setattr(JobModel, "start", start)  # noqa: B010 - as a method
    status = main()
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}\n")
    raise SystemExit(status)
