"""Everything that is decided and opened before the first run."""

from dataclasses import dataclass

from server.inference.device import Choice
from server.model.artifact import Artifact
from server.model.tokenization import Tokenizer
from server.settings import Settings
from server.system.machine import Threads
from server.telemetry.traces import Tracer


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """The model and the machine, as they will serve."""

    settings: Settings
    artifact: Artifact
    choice: Choice
    threads: Threads
    tokenizer: Tokenizer
    tracer: Tracer | None = None
