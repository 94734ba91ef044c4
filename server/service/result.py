"""The result of an embedding request."""

from dataclasses import dataclass

from server.inference.engine import Vectors


@dataclass(frozen=True, slots=True)
class Result:
    """A request's uncut vectors, [inputs, dimension], with its counts and its timings in seconds.

    `space` is the id of the vectors' embedding space.
    """

    vectors: Vectors
    characters: int
    tokens: int
    truncated: int
    tokenization_s: float
    queue_s: float
    inference_s: float
    space: str
