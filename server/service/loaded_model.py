"""The configuration and files that startup resolves before it opens the ONNX session."""

from dataclasses import dataclass

from server.inference.device import Choice
from server.model.artifact import Artifact
from server.model.tokenization import Tokenizer
from server.settings import Settings
from server.system.machine import Threads
from server.telemetry.traces import Tracer


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """The resolved model, device, threads and tokenizer."""

    settings: Settings
    artifact: Artifact
    choice: Choice
    threads: Threads
    tokenizer: Tokenizer
    tracer: Tracer | None = None
