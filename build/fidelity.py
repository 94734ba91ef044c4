"""How faithful a variant is: cosine of its vectors to the fp32 graph's and to the source model's in torch."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

from build.errors import BuildError
from build.progress import track
from build.sentence import Sentence
from build.sources.snapshot import Snapshot
from server.inference.engine import OnnxEngine, Resources, split
from server.model.manifest import Fidelity, Similarity
from server.model.tokenization import Tokenizer
from server.system.machine import inference_threads

Vectors = NDArray[np.float32]
# Large enough that torch, which reads all weights for each call, does not spend its time on that.
_BATCH_TOKENS = 1024


def tokenize(tokenizer: Path, max_tokens: int, texts: list[str]) -> list[list[int]]:
    """Token ids of each text, as the server makes them."""
    return [encoded.ids for encoded in Tokenizer(tokenizer, max_tokens).encode(texts)]


def graph_vectors(graph: Path, dimension: int, sequences: list[list[int]], packed: bool, label: str) -> Vectors:
    """Vectors `[text, dimension]` of token sequences through an ONNX graph on CPU, by the server's own engine."""
    longest = max(map(len, sequences))
    resources = Resources("cpu", inference_threads(None).count, _BATCH_TOKENS, packed)
    engine = OnnxEngine(graph, dimension, longest, resources)
    out = np.empty((len(sequences), dimension), np.float32)
    for rows in track(_batches(sequences), label):
        out[rows] = engine.embed([sequences[row] for row in rows])
    return out


def source_vectors(
    snapshot: Snapshot, sentence: Sentence, texts: list[str], sequences: list[list[int]], label: str
) -> Vectors:
    """Vectors `[text, dimension]` of the source model itself, in torch, fp32, with its own tokenizer.

    `sequences` are the same texts' token ids, which serve only to put texts of like length together.

    Written from sentence-transformers' definition of its Pooling and Normalize modules, independently of the graph.
    """
    tokenizer = AutoTokenizer.from_pretrained(snapshot.folder)
    model = AutoModel.from_pretrained(snapshot.folder, dtype=torch.float32).eval()
    prepared = [text.lower() if sentence.lowercases else text for text in texts]
    out: list[Vectors | None] = [None] * len(texts)
    with torch.inference_mode():
        for rows in track(_batches(sequences), label):
            batch = tokenizer(
                [prepared[row] for row in rows],
                padding=True,
                truncation=True,
                max_length=sentence.max_tokens,
                # One text has one type everywhere, which is every model's default; DistilBERT knows no types.
                return_token_type_ids=False,
                return_tensors="pt",
            )
            hidden = model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1)
            pooled = hidden[:, 0] if sentence.pooling == "cls" else (hidden * mask).sum(1) / mask.sum(1)
            for row, vector in zip(rows, torch.nn.functional.normalize(pooled).numpy(), strict=True):
                out[row] = vector
    return np.stack([vector for vector in out if vector is not None])


def similarity(vectors: Vectors, reference: Vectors) -> Similarity:
    """Mean, 1st percentile and minimum of the row-wise cosine, rounded to what float32 can tell.

    Raises:
        BuildError: a vector is not finite.
    """
    left, right = vectors.astype(np.float64), reference.astype(np.float64)
    cosine = (left * right).sum(1) / (np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1))
    if not np.isfinite(cosine).all():
        raise BuildError(f"text {int(np.flatnonzero(~np.isfinite(cosine))[0])} gave a vector that is not finite")
    mean, low, least = cosine.mean(), np.percentile(cosine, 1), cosine.min()
    return Similarity(mean=round(float(mean), 6), p01=round(float(low), 6), min=round(float(least), 6))


def _batches(sequences: list[list[int]]) -> list[list[int]]:
    return split([len(ids) for ids in sequences], _BATCH_TOKENS)


def line(label: str, found: Fidelity) -> str:
    """One line of the build's report."""
    parts = (("fp32", found.to_fp32), ("source", found.to_source))
    return f"  {label}: " + "; ".join(
        f"cosine to {name} mean {s.mean:.6f}, 1st percentile {s.p01:.6f}, min {s.min:.6f}" for name, s in parts
    )
