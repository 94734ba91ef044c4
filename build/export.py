"""Export source weights to an ONNX graph with optimum, and add pooling and normalisation."""

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
    """Export to `input_ids, attention_mask → sentence_embedding`; return the model and the names of the passes applied.

    The graph's tensors are loaded lazily from `scratch`.

    Raises:
        BuildError: transformers or optimum cannot export this model.
    """
    run_optimum(sentence.encoder, scratch)
    return read(sentence, scratch)


def read(sentence: Sentence, scratch: Path) -> tuple[ir.Model, list[str]]:
    """Read optimum's export in `scratch` and add what `export` adds."""
    model = ir.load(scratch / "model.onnx")
    fold: list[GraphPass] = [FoldTokenTypesPass()] if fold_token_types.needed(model) else []
    name: list[GraphPass] = [NameWeightsPass()] if name_weights.needed(model) else []
    mark: list[GraphPass] = [] if sentence.pooling.include_prompt else [MarkPromptPass()]
    layers: list[GraphPass] = [AddLayersPass(sentence.layers)] if sentence.layers else []
    names = apply(model, [*fold, *mark, PoolOutputPass(sentence.pooling), *layers, *name])
    RemoveUnusedNodesPass()(model)
    return model, names


def run_optimum(snapshot: Snapshot, scratch: Path) -> None:
    """Write optimum's export, `model.onnx` with the encoder's hidden states as output, to `scratch`.

    Raises:
        BuildError: transformers or optimum cannot export this model.
    """
    # The user cannot act on these libraries' warnings (deprecated arguments, traced constants).
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
        except Exception as error:  # the library raises any type
            raise BuildError(f"{snapshot.id} cannot be exported to ONNX: {error}") from error


def save(model: ir.Model, path: Path) -> None:
    """Serialize the model to one self-contained file.

    Raises:
        OSError: disk full, or path not writable.
    """
    with path.open("wb") as stream:
        stream.write(ir.to_proto(model).SerializeToString(deterministic=True))
