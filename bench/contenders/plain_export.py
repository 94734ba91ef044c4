"""ONNX Runtime as commonly used: optimum's export on one padded batch, in fp32 or stock dynamic int8."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from bench.contenders import Task, Vectors
from bench.contenders.padding import check_comparable, pad, pool

PACKAGES = ("onnxruntime",)


class PlainExport:
    """A session on the exported graph; pooling and normalisation in numpy."""

    def __init__(self, session: onnxruntime.InferenceSession, pooling: str) -> None:
        self._session = session
        self._pooling = pooling
        self._inputs = [node.name for node in session.get_inputs()]

    def run(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        """Return unit vectors for one padded batch."""
        ids, mask = pad(sequences)
        known = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = self._session.run(None, {name: known[name] for name in self._inputs})[0]
        return pool(np.asarray(hidden), mask, self._pooling)

    def notes(self) -> dict[str, Any]:
        """Return no details."""
        return {}


def load(task: Task) -> PlainExport:
    """Load the export made by `bench.source`."""
    check_comparable(task)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task.threads
    options.log_severity_level = 3
    path = Path(task.cache) / f"plain-{task.precision}" / "model.onnx"
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return PlainExport(session, task.pooling)
