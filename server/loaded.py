"""Everything that is decided and opened at start."""

from dataclasses import dataclass

from server.artifact import Artifact
from server.device import Choice, DeviceName
from server.errors import StartError
from server.machine import Threads
from server.settings import Settings
from server.tokenization import Tokenizer
from server.traces import Tracer

# Small batches already reach full speed on CPU, and keep everyone's wait short; a GPU needs more at once.
AUTO_BATCH_TOKENS: dict[DeviceName, int] = {"cpu": 1024, "cuda": 16384}
AUTO_QUEUE_BATCHES = 64


@dataclass(frozen=True, slots=True)
class Capacity:
    """Tokens of one batch, padding included, and tokens that may be queued."""

    batch_tokens: int
    queue_tokens: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model and the machine, as they will serve."""

    settings: Settings
    artifact: Artifact
    choice: Choice
    threads: Threads
    capacity: Capacity
    tokenizer: Tokenizer
    tracer: Tracer | None = None


def plan_capacity(settings: Settings, max_tokens: int, device: DeviceName) -> Capacity:
    """Resolve MAX_BATCH_TOKENS and MAX_QUEUE_TOKENS for a model that reads `max_tokens`.

    Raises:
        StartError: a batch could not hold the model's longest text.
    """
    batch = settings.max_batch_tokens or max(AUTO_BATCH_TOKENS[device], max_tokens)
    if batch < max_tokens:
        raise StartError(f"MAX_BATCH_TOKENS={batch}: must be at least {max_tokens}, the model's longest text, or auto")
    return Capacity(batch, settings.max_queue_tokens or AUTO_QUEUE_BATCHES * batch)
