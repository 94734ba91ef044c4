"""What a GPU is given to compute, and how much of it is useful."""

from collections.abc import Mapping
from typing import Any

from bench import limit, workloads
from bench.workloads import Shape, Vocabulary, Workload

# Texts of each batch: enough to fill a GPU, or to show on a CPU that all of this works.
TEXTS = {"cuda": 128, "cpu": 4}
# The mean length of mixed texts, as a share of the longest: most are short, some are as long as can be.
MEAN = 0.25


def make(vocabulary: Vocabulary, longest: int, device: str) -> list[Workload]:
    """Batches of 128 tokens, of 512, and of mixed length; no text is longer than the model reads."""
    texts = TEXTS[device]
    medium, long = min(128, longest), min(512, longest)
    total = max(round(MEAN * long), workloads.SHORTEST) * 2 * texts
    mixed = tuple(workloads.lognormal_lengths(2 * texts, total, long))
    shapes = (
        Shape("medium", f"{texts} texts of {medium} tokens", (medium,) * texts),
        Shape("long", f"{texts} texts of {long} tokens", (long,) * texts),
        Shape("mixed", f"{2 * texts} texts of mixed length, {total // (2 * texts)} tokens on average", mixed),
    )
    return [workloads.fill(shape, vocabulary) for shape in shapes]


def operations(workload: Workload, config: Mapping[str, Any]) -> int:
    """Useful additions and multiplications: the linear layers' for each token, attention's for each pair of a text's.

    Padding does not count, whoever computes it; nor does what the last layer computes for no one.
    """
    pairs = sum(len(sequence) ** 2 for sequence in workload.sequences)
    return workload.tokens * limit.operations_per_token(config) + pairs * limit.operations_per_pair(config)
