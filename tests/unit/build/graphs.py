"""Graphs for the tests of packing passes and int8."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from build.passes import apply
from build.passes.fold_token_types import FoldTokenTypesPass
from build.passes.name_weights import NameWeightsPass
from build.passes.packing import cuda_passes, packing_passes
from build.passes.pool_output import PoolOutputPass
from build.passes.tabulate_rotary import TabulateRotaryPass
from build.pooling import Pooling
from build.quantize.calibration import Batch

Exported = Callable[[str], Path]
ARCHITECTURES = [
    *("bert", "roberta", "xlm-roberta", "distilbert", "mpnet"),
    *("albert", "electra", "megatron-bert", "modernbert"),
]
# A position bias added to the scores and attention within a window have no packed kernel.
ON_CUDA = [name for name in ARCHITECTURES if name not in ("mpnet", "modernbert")]
# Per layer: query, key, value, attention output, two feed-forward. ALBERT and ELECTRA project their embeddings, too;
# ModernBERT's feed-forward has a gate.
PRODUCTS = dict.fromkeys(ARCHITECTURES, 12) | {"albert": 13, "electra": 13, "modernbert": 14}
# Those with keys and values that have biases.
BIASED = [name for name in ARCHITECTURES if name != "modernbert"]
LONGEST = 64
CLS, MEAN = Pooling(("cls",)), Pooling(("mean",))
# Every pooling, concatenated.
SIDE_BY_SIDE = Pooling(("cls", "mean_sqrt_len_tokens", "max", "lasttoken", "mean", "weightedmean"))


def with_export(target: Path, exported: Exported, architecture: str = "bert") -> Path:
    """Create `target`: the folder of a tiny model, with its export as onnx/model.onnx."""
    shutil.copytree(exported(architecture).parents[1] / "tiny", target)
    (target / "onnx").mkdir()
    shutil.copyfile(exported(architecture), target / "onnx" / "model.onnx")
    return target


def change(path: Path, **settings: object) -> None:
    """Change entries of a JSON object."""
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def plain(path: Path, pooling: Pooling = MEAN) -> ir.Model:
    """Return a tiny model's pooled graph, the input of the packing passes."""
    model = ir.load(path)
    apply(model, [FoldTokenTypesPass(), PoolOutputPass(pooling), TabulateRotaryPass(LONGEST), NameWeightsPass()])
    return model


def packed(path: Path, pooling: Pooling = MEAN) -> ir.Model:
    """Return the padding-free graph."""
    model = plain(path, pooling)
    apply(model, packing_passes(pooling))
    return model


def before(path: Path, name: str, pooling: Pooling = MEAN) -> ir.Model:
    """Return the graph before the named packing pass."""
    model = plain(path, pooling)
    passes = packing_passes(pooling)
    apply(model, passes[: [step.name for step in passes].index(name)])
    return model


def count(graph: ir.Graph) -> Counter[str]:
    """Count the nodes of each operator, subgraphs included."""
    return Counter(node.op_type for node in graph.all_nodes())


def texts(*lengths: int, seed: int = 0) -> list[list[int]]:
    """Return random token ids, without the padding id 0, for texts of these lengths."""
    draw = np.random.default_rng([seed, *lengths])
    return [draw.integers(5, 60, length).tolist() for length in lengths]


def batches(*lengths: Sequence[int]) -> list[Batch]:
    """Return padded batches of random texts of these lengths."""
    made = []
    for number, batch in enumerate(lengths):
        ids = np.zeros((len(batch), max(batch)), np.int64)
        for row, text in zip(ids, texts(*batch, seed=number + 1), strict=True):
            row[: len(text)] = text
        made.append((ids, (ids > 0).astype(np.int64)))
    return made


CALIBRATION = batches([3, 9, 17, 30], [64, 5, 1], [12] * 6, [40, 22])


def for_cuda(path: Path, pooling: Pooling = MEAN) -> ir.Model:
    """Return the graph for CUDA in fp32."""
    model = plain(path, pooling)
    apply(model, cuda_passes(pooling))
    return model
