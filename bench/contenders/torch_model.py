"""PyTorch through sentence-transformers: batches sorted by length, each padded to its longest text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from bench.contenders import Task, Vectors
from bench.contenders.padding import pad

PACKAGES = ("torch", "sentence-transformers")
# 32 is sentence-transformers' default; a GPU needs larger batches.
BATCH = {"cpu": 32, "cuda": 128}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchModel:
    """The source model, from token ids to sentence embeddings."""

    def __init__(self, model: SentenceTransformer, dimension: int, device: str) -> None:
        self._model = model
        self._device = device
        self._dimension = dimension

    def run(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        """Return the vectors, computed longest text first, as `SentenceTransformer.encode` does after tokenizing."""
        order = sorted(range(len(sequences)), key=lambda place: -len(sequences[place]))
        vectors = np.empty((len(sequences), self._dimension), np.float32)
        for start in range(0, len(order), BATCH[self._device]):
            chosen = order[start : start + BATCH[self._device]]
            vectors[chosen] = self._forward([sequences[place] for place in chosen])
        return vectors

    def _forward(self, sequences: Sequence[Sequence[int]]) -> Any:  # noqa: ANN401 - torch's tensors are untyped
        names = ("input_ids", "attention_mask")
        features = {
            name: torch.from_numpy(array).to(self._device) for name, array in zip(names, pad(sequences), strict=True)
        }
        with torch.inference_mode():
            return self._model(features)["sentence_embedding"].float().cpu().numpy()

    def notes(self) -> dict[str, Any]:
        """Return the attention implementation and the batch size."""
        return {
            "attention": self._model[0].auto_model.config._attn_implementation,
            "batch": BATCH[self._device],
        }


def load(task: Task) -> TorchModel:
    """Load the weights and the pipeline (pooling, normalisation) from `task.source`."""
    torch.set_num_threads(task.threads)
    if task.device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("this torch sees no GPU: install a build with CUDA")
    options = {"dtype": DTYPES[task.precision], "attn_implementation": "sdpa"}
    model = SentenceTransformer(task.source, device=task.device, local_files_only=True, model_kwargs=options).eval()
    return TorchModel(model, task.dimension, task.device)
