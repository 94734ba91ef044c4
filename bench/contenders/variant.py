"""One of our variants, loaded and run as in the server."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from bench.contenders import Task, Vectors
from server.inference.device import DeviceName, detect
from server.inference.engine import OnnxEngine, Resources
from server.model.artifact import open_artifact
from server.model.manifest import Precision

PACKAGES = ("onnxruntime",)


class VariantContender:
    """The server's engine on one built variant."""

    def __init__(self, engine: OnnxEngine) -> None:
        self._engine = engine

    def run(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        """Return unit vectors; the engine splits the call into runs."""
        return self._engine.embed(sequences)

    def notes(self) -> dict[str, Any]:
        """Return, on a GPU, the number of nodes placed on the CPU and the engine's report."""
        told = list(self._engine.report())
        return {"nodes_on_cpu": self._engine.nodes_on_cpu, "report": told} if told else {}


def load(task: Task) -> VariantContender:
    """Verify the hashes and open the session.

    Raises:
        StartError: the variant is not built, or a file does not match the manifest.
    """
    device = cast(DeviceName, task.device)
    if device == "cuda":
        detect("cuda", None)  # loads NVIDIA's libraries, or raises with what is missing
    precision = cast(Precision, task.precision)
    artifact = open_artifact(Path(task.models_dir), task.model, precision, cuda=device == "cuda")
    resources = Resources(device, task.threads, task.batch_tokens, artifact.variant.packed)
    manifest = artifact.manifest
    return VariantContender(OnnxEngine(artifact.model_path, manifest.dimension, manifest.max_tokens, resources))
