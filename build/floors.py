"""What a graph must keep of the source's vectors to be served, and what is told of one that does not."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.model.manifest import Fidelity, Precision

FP32 = 0.99999
"""The least cosine of fp32 to the source, over every text and prompt: below it something was read otherwise."""

# Rounding alone stays far above these: fp16 above 0.9999, int8 above a mean of 0.99, also where a CPU without VNNI or
# AMX saturates. Below them a graph overflows, or its weights are none that this precision can hold.
_FP16 = 0.999
_INT8 = 0.95


@dataclass(frozen=True)
class Case:
    """One text as it was sent: with the prompt of a name before it, and whether its token ids are the source's."""

    text: str
    prompt_name: str | None
    same_ids: bool


def shortfall(precision: Precision, found: Fidelity) -> str:
    """What keeps a variant of `precision` from being served, or ''."""
    if precision == "fp32":
        return _below("least cosine to the source", found.to_source.min, FP32)
    if precision == "fp16":
        return _below("least cosine to fp32", found.to_fp32.min, _FP16)
    return _below("mean cosine to fp32", found.to_fp32.mean, _INT8)


def departure(cases: list[Case], cosines: NDArray[np.float64]) -> str:
    """Where fp32 departs from the source most and the setting that is likely to be behind it, or ''.

    `cosines` are of fp32's vectors to the source's, one for each case.
    """
    low = cosines < FP32
    if not low.any():
        return ""
    case = cases[int(np.argmin(cosines))]
    under = f" under the prompt {case.prompt_name!r}" if case.prompt_name is not None else ""
    return (
        f"fp32's vectors are not the source's: {int(low.sum())} of {len(cases)} texts fall below a cosine of {FP32}, "
        f"the lowest ({cosines.min():.6f}) is {_shown(case.text)}{under}. Likely: {_likely(case, cases, low)}"
    )


def _likely(case: Case, cases: list[Case], low: NDArray[np.bool_]) -> str:
    if not case.same_ids:
        return (
            "its token ids differ from the source's: tokenizer.json, tokenizer_config.json, or the length in "
            "sentence_bert_config.json"
        )
    plain = [bool(one) for one, other in zip(low, cases, strict=True) if other.prompt_name is None]
    if case.prompt_name is not None and not any(plain):
        return "texts without a prompt are as they should be: prompts, or include_prompt in the pooling's config.json"
    return "its token ids are the source's: the pooling's config.json, modules.json, config.json, or the weights"


def _below(what: str, value: float, floor: float) -> str:
    return f"{what} is {value:.6f}, the floor {floor}" if value < floor else ""


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:60]}…{text[-16:]}")
