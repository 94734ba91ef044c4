"""Minimum fidelity for a variant to be served, and diagnosis of an fp32 graph that misses it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.model.manifest import Fidelity, Precision

FP32 = 0.99999
"""Minimum cosine of fp32 to the source for every text and prompt; below it, a setting was misread."""

# Rounding alone stays far above these: fp16 above 0.9999, int8 above a mean of 0.99. Below, activations overflow or the
# precision cannot represent the weights.
_FP16 = 0.999
_INT8 = 0.95


@dataclass(frozen=True)
class Case:
    """One text, the name of its prompt, and whether the served token ids equal the source's."""

    text: str
    prompt_name: str | None
    same_ids: bool


def shortfall(precision: Precision, measured: Fidelity) -> str:
    """Return why a variant's fidelity is too low to serve, or ''."""
    if precision == "fp32":
        return _below("least cosine to the source", measured.to_source.min, FP32)
    if precision == "fp16":
        return _below("least cosine to fp32", measured.to_fp32.min, _FP16)
    return _below("mean cosine to fp32", measured.to_fp32.mean, _INT8)


def departure(cases: list[Case], cosines: NDArray[np.float64]) -> str:
    """Return the case where fp32 differs most from the source, with the likely cause, or ''.

    `cosines` compares fp32's vectors with the source's, one value per case.
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
