"""Turn an encoder's plain graph into one that gives sentence vectors."""

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from build.passes import GraphPass, apply
from build.passes.add_layers import AddLayersPass
from build.passes.fold_token_types import FoldTokenTypesPass
from build.passes.mark_prompt import MarkPromptPass
from build.passes.name_weights import NameWeightsPass
from build.passes.pool_output import PoolOutputPass
from build.passes.tabulate_rotary import TabulateRotaryPass
from build.sentence import Sentence


def finish(model: ir.Model, sentence: Sentence) -> list[str]:
    """Turn a graph of hidden states into `input_ids, attention_mask → sentence_embedding`, in place.

    Returns the names of the passes applied.

    Raises:
        BuildError: the graph has an unsupported structure.
    """
    mark: list[GraphPass] = [] if sentence.pooling.include_prompt else [MarkPromptPass()]
    layers: list[GraphPass] = [AddLayersPass(sentence.layers)] if sentence.layers else []
    own = [PoolOutputPass(sentence.pooling), *layers, TabulateRotaryPass(sentence.max_tokens)]
    names = apply(model, [FoldTokenTypesPass(), *mark, *own, NameWeightsPass()])
    RemoveUnusedNodesPass()(model)
    return names
