"""Everything that is decided and opened before the first run."""

from dataclasses import dataclass

from server.artifact import Artifact
from server.device import Choice
from server.machine import Threads
from server.settings import Settings
from server.tokenization import Tokenizer
from server.traces import Tracer


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model and the machine, as they will serve."""

    settings: Settings
    artifact: Artifact
    choice: Choice
    threads: Threads
    tokenizer: Tokenizer
    tracer: Tracer | None = None
