"""CTranslate2 in int8: one call with all texts, computed without padding."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from ctranslate2.converters import TransformersConverter

from bench import cached
from bench.contenders import Task, Vectors
from bench.contenders.padding import check_comparable, pad, pool

PACKAGES = ("ctranslate2",)
_FOLDER = "ctranslate2-{}"


class Ctranslate2Model:
    """A CTranslate2 encoder; pooling and normalisation in numpy."""

    def __init__(self, encoder: ctranslate2.Encoder, pooling: str) -> None:
        self._encoder = encoder
        self._pooling = pooling

    def run(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        """Return unit vectors for one batch."""
        hidden = self._encoder.forward_batch([list(sequence) for sequence in sequences]).last_hidden_state
        return pool(np.array(hidden), pad(sequences)[1], self._pooling)

    def notes(self) -> dict[str, Any]:
        """Return the compute type."""
        return {"compute_type": self._encoder.compute_type}


def prepare(task: Task) -> None:
    """Convert the source weights."""
    folder = Path(task.cache) / _FOLDER.format(task.precision)
    if not folder.is_dir():
        with cached.folder(folder) as staged:
            # The converter refuses an existing output folder.
            TransformersConverter(task.source).convert(str(staged / "model"), quantization=task.precision)


def load(task: Task) -> Ctranslate2Model:
    """Open the converted model."""
    check_comparable(task)
    path = Path(task.cache) / _FOLDER.format(task.precision) / "model"
    encoder = ctranslate2.Encoder(
        str(path), device="cpu", compute_type=task.precision, inter_threads=1, intra_threads=task.threads
    )
    return Ctranslate2Model(encoder, task.pooling)
