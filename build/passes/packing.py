"""The passes that make an encoder's plain pooled graph padding-free."""

from build.passes import GraphPass
from build.passes.fold_attention_biases import FoldAttentionBiasesPass
from build.passes.fuse_attention import FuseAttentionPass
from build.passes.fuse_gelu import FuseGeluPass
from build.passes.fuse_rotary import FuseRotaryPass
from build.passes.fuse_sums import FuseSumsPass
from build.passes.pack_tokens import CUDA, PackTokensPass
from build.passes.share_weights import ShareWeightsPass
from build.passes.sort_texts import SortTextsPass
from build.passes.split_projections import SplitProjectionsPass
from build.passes.trim_last_layer import TrimLastLayerPass
from build.pooling import Pooling


def packing_passes(pooling: Pooling) -> list[GraphPass]:
    """The passes, in order; the graph keeps its inputs and its output, and the output its values within 1e-6.

    They fit the exports of the architectures in docs/models.md, and every pooling. On another export one of them raises
    UnsupportedGraphError and leaves the graph half rewritten: go on from a fresh copy of the plain one.
    """
    trim: list[GraphPass] = [TrimLastLayerPass()] if pooling.reads_first_token_alone else []
    return [*_fused(), *trim, FoldAttentionBiasesPass(), PackTokensPass(), SortTextsPass()]


def cuda_passes(pooling: Pooling) -> list[GraphPass]:
    """Return the passes for CUDA, which use its provider's operators; texts are not sorted, as there are no groups.

    They support the same exports except those whose attention has a position bias (MPNet) or a window (ModernBERT).
    """
    # Fold biases before trimming, which inserts a Gather between attention and its output projection.
    trim: list[GraphPass] = [TrimLastLayerPass(every_query=True)] if pooling.reads_first_token_alone else []
    return [*_fused(), FoldAttentionBiasesPass(), *trim, PackTokensPass(CUDA), FuseSumsPass(), ShareWeightsPass()]


def _fused() -> list[GraphPass]:
    return [SplitProjectionsPass(), FuseRotaryPass(), FuseAttentionPass(), FuseGeluPass()]
