"""What a question comes to."""

from dataclasses import dataclass

from server.inference.engine import Vectors


@dataclass(frozen=True, slots=True)
class Result:
    """A question's vectors, whole ones, [inputs, dimension], and the work behind them; times in seconds."""

    vectors: Vectors
    characters: int
    tokens: int
    truncated: int
    tokenization_s: float
    queue_s: float
    inference_s: float
