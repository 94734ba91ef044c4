"""A variant of ours, opened and run as the server does it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from bench.contenders import Task, Vectors
from server.artifact import open_artifact
from server.engine import OnnxEngine, Resources
from server.manifest import Precision

PACKAGES = ("onnxruntime",)


class Variant:
    """The server's own engine on one built file."""

    def __init__(self, engine: OnnxEngine) -> None:
        self._engine = engine

    def run(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        """Compute unit vectors; the engine divides the call into runs itself."""
        return self._engine.embed(sequences)

    def notes(self) -> dict[str, Any]:
        """Nothing that the manifest does not say."""
        return {}


def load(task: Task) -> Variant:
    """Check the hashes and open the session.

    Raises:
        StartError: the variant is not built, or a file is not what the manifest says.
    """
    artifact = open_artifact(Path(task.models_dir), task.model, cast(Precision, task.precision))
    resources = Resources("cpu", task.threads, task.batch_tokens, artifact.variant.packed)
    manifest = artifact.manifest
    return Variant(OnnxEngine(artifact.model_path, manifest.dimension, manifest.max_tokens, resources))
