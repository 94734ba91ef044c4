"""PyTorch as sentence-transformers runs it: batches sorted by length, each padded to its longest."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoModel

from bench.contenders import Task, Vectors
from bench.contenders.padding import pad, pool

PACKAGES = ("torch", "transformers")
# sentence-transformers' default batch size; a GPU is given what serves it better.
BATCH = {"cpu": 32, "cuda": 128}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchModel:
    """The source model itself."""

    def __init__(self, model: Any, dimension: int, pooling: str, device: str) -> None:  # noqa: ANN401 - untyped
        self._model = model
        self._device = device
        self._dimension = dimension
        self._pooling = pooling

    def run(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        """Compute unit vectors, longest texts first."""
        order = sorted(range(len(sequences)), key=lambda place: -len(sequences[place]))
        vectors = np.empty((len(sequences), self._dimension), np.float32)
        for start in range(0, len(order), BATCH[self._device]):
            chosen = order[start : start + BATCH[self._device]]
            vectors[chosen] = self._forward([sequences[place] for place in chosen])
        return vectors

    def _forward(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        ids, mask = pad(sequences)
        with torch.inference_mode():
            on = [torch.from_numpy(array).to(self._device) for array in (ids, mask)]
            hidden = self._model(input_ids=on[0], attention_mask=on[1]).last_hidden_state
            if self._device == "cuda":  # what is pooled comes back, not every token's state
                hidden, mask = _pooled(hidden, on[1], self._pooling), mask[:, :1]
        return pool(hidden.float().cpu().numpy(), mask, self._pooling)

    def notes(self) -> dict[str, Any]:
        """How attention is computed."""
        return {"attention": self._model.config._attn_implementation, "batch": BATCH[self._device]}


def _pooled(hidden: Any, mask: Any, pooling: str) -> Any:  # noqa: ANN401 - torch's tensors
    """One row a text, `[texts, 1, dimension]`."""
    if pooling == "cls":
        return hidden[:, :1]
    weights = (mask / mask.sum(1, keepdim=True)).to(hidden.dtype)
    return torch.bmm(weights.unsqueeze(1), hidden)


def load(task: Task) -> TorchModel:
    """Load the weights from `task.source`."""
    torch.set_num_threads(task.threads)
    if task.device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("this torch sees no GPU: install a build with CUDA")
    model = AutoModel.from_pretrained(task.source, dtype=DTYPES[task.precision], attn_implementation="sdpa").eval()
    return TorchModel(model.to(task.device), task.dimension, task.pooling, task.device)
