"""Batches for the GPU benchmark, and their useful operations."""

from collections.abc import Mapping
from typing import Any

from bench import limit, workloads
from bench.workloads import Shape, Vocabulary, Workload

# Texts per batch: enough to saturate a GPU; few on the CPU, which only checks that the benchmark works.
TEXTS = {"cuda": 128, "cpu": 4}
# Mean length of mixed texts as a share of the longest.
MEAN = 0.25


def make(vocabulary: Vocabulary, longest: int, device: str) -> list[Workload]:
    """Return batches of 128 tokens, 512 tokens and mixed length, within the model's maximum."""
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
    """Return useful additions and multiplications: linear layers per token, attention per pair of a text's tokens.

    Padding does not count, even where a contender computes it.
    """
    pairs = sum(len(sequence) ** 2 for sequence in workload.sequences)
    return workload.tokens * limit.operations_per_token(config) + pairs * limit.operations_per_pair(config)
