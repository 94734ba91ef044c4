"""FastEmbed on optimum's export, loaded as a custom model from a local folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastembed
import numpy as np
from fastembed.common.model_description import ModelSource, PoolingType

from bench.contenders import Task, Vectors
from bench.contenders.padding import check_comparable, pad

PACKAGES = ("fastembed", "onnxruntime")


@dataclass(frozen=True)
class Encoding:
    """One row of a padded batch; has the two attributes that FastEmbed reads."""

    ids: list[int]
    attention_mask: list[int]


class Numbers:
    """Replaces FastEmbed's tokenizer: a document is a string of token ids."""

    def encode_batch(self, documents: list[str]) -> list[Encoding]:
        """Parse the ids and pad them to the longest."""
        ids, mask = pad([[int(number) for number in document.split()] for document in documents])
        return [Encoding(*row) for row in zip(ids.tolist(), mask.tolist(), strict=True)]


class FastembedModel:
    """A TextEmbedding that takes token ids."""

    def __init__(self, embedding: fastembed.TextEmbedding) -> None:
        self._embedding = embedding

    def run(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        """Return unit vectors, in FastEmbed's default batches."""
        documents = [" ".join(map(str, sequence)) for sequence in sequences]
        return np.stack(list(self._embedding.embed(documents))).astype(np.float32)

    def notes(self) -> dict[str, Any]:
        """Return no details."""
        return {}


def load(task: Task) -> FastembedModel:
    """Load the export as a custom model."""
    check_comparable(task)
    name = f"local/{task.model}"
    fastembed.TextEmbedding.add_custom_model(
        model=name,
        pooling=PoolingType.CLS if task.pooling == "cls" else PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf=name),
        dim=task.dimension,
        model_file="model.onnx",
    )
    folder = str(Path(task.cache) / "plain-fp32")
    embedding = fastembed.TextEmbedding(name, threads=task.threads, specific_model_path=folder)
    embedding.model.tokenizer = Numbers()
    return FastembedModel(embedding)
