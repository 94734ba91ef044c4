"""PyTorch as sentence-transformers runs it: batches of 32 sorted by length, each padded to its longest."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoModel

from bench.contenders import Task, Vectors
from bench.contenders.padding import pad, pool

PACKAGES = ("torch", "transformers")
# sentence-transformers' default batch size.
BATCH = 32
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class TorchModel:
    """The source model itself."""

    def __init__(self, model: Any, dimension: int, pooling: str) -> None:  # noqa: ANN401 - transformers is untyped
        self._model = model
        self._dimension = dimension
        self._pooling = pooling

    def run(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        """Compute unit vectors, longest texts first."""
        order = sorted(range(len(sequences)), key=lambda place: -len(sequences[place]))
        vectors = np.empty((len(sequences), self._dimension), np.float32)
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            vectors[chosen] = self._forward([sequences[place] for place in chosen])
        return vectors

    def _forward(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        ids, mask = pad(sequences)
        with torch.inference_mode():
            output = self._model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask))
        return pool(output.last_hidden_state.float().numpy(), mask, self._pooling)

    def notes(self) -> dict[str, Any]:
        """How attention is computed."""
        return {"attention": self._model.config._attn_implementation}


def load(task: Task) -> TorchModel:
    """Load the weights from `task.source`."""
    torch.set_num_threads(task.threads)
    model = AutoModel.from_pretrained(task.source, dtype=DTYPES[task.precision]).eval()
    return TorchModel(model, task.dimension, task.pooling)
