"""From source weights to the plain ONNX graph: exported by optimum, pooled and normalised by the first passes."""

import warnings
from pathlib import Path

import onnx_ir as ir
import optimum.utils.logging
import transformers
from onnx_ir.passes.common import RemoveUnusedNodesPass
from optimum.exporters.onnx import main_export

from build.errors import BuildError
from build.passes import GraphPass, apply, fold_token_types, name_weights
from build.passes.add_layers import AddLayersPass
from build.passes.fold_token_types import FoldTokenTypesPass
from build.passes.mark_prompt import MarkPromptPass
from build.passes.name_weights import NameWeightsPass
from build.passes.pool_output import PoolOutputPass
from build.sentence import Sentence
from build.sources.snapshot import Snapshot


def export(sentence: Sentence, scratch: Path) -> tuple[ir.Model, list[str]]:
    """Export to `input_ids, attention_mask → sentence_embedding` and return it with the passes applied.

    The graph's tensors stay on disk under `scratch` until they are read.

    Raises:
        BuildError: transformers or optimum cannot export this model.
    """
    run_optimum(sentence.encoder, scratch)
    model = ir.load(scratch / "model.onnx")
    fold: list[GraphPass] = [FoldTokenTypesPass()] if fold_token_types.needed(model) else []
    name: list[GraphPass] = [NameWeightsPass()] if name_weights.needed(model) else []
    mark: list[GraphPass] = [] if sentence.pooling.include_prompt else [MarkPromptPass()]
    layers: list[GraphPass] = [AddLayersPass(sentence.layers)] if sentence.layers else []
    names = apply(model, [*fold, *mark, PoolOutputPass(sentence.pooling), *layers, *name])
    RemoveUnusedNodesPass()(model)
    return model, names


def run_optimum(snapshot: Snapshot, scratch: Path) -> None:
    """Write optimum's export, `model.onnx` with the encoder's hidden states as output, into `scratch`.

    Raises:
        BuildError: transformers or optimum cannot export this model.
    """
    # What these libraries warn of (deprecated arguments, traced constants) is not for the user to act on.
    transformers.utils.logging.set_verbosity_error()
    optimum.utils.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            main_export(
                str(snapshot.folder),
                scratch,
                task="feature-extraction",
                library_name="transformers",
                do_validation=False,
                trust_remote_code=False,
            )
        except Exception as error:  # what fails in there is of any kind
            raise BuildError(f"{snapshot.id} cannot be exported to ONNX: {error}") from error


def save(model: ir.Model, path: Path) -> None:
    """Write one self-contained file.

    Raises:
        OSError: disk full or not writable.
    """
    with path.open("wb") as stream:
        stream.write(ir.to_proto(model).SerializeToString(deterministic=True))
