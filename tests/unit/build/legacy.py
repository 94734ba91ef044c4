"""Graphs as older exporters wrote them: eager attention, older opsets, the pooler's output beside the states."""

import warnings
from pathlib import Path

import torch
from transformers import AutoModel


def export(folder: Path, opset: int) -> Path:
    """Write `onnx/model.onnx` of the model in `folder` with torch's tracing exporter; return its path."""
    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    ids = torch.tensor([[2, 5, 6, 3], [2, 7, 8, 3]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if model.config.model_type == "bert":
        inputs["token_type_ids"] = torch.zeros_like(ids)
    axes = {0: "batch", 1: "sequence"}
    path = folder / "onnx" / "model.onnx"
    path.parent.mkdir(exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (inputs,),
            path,
            input_names=list(inputs),
            output_names=["last_hidden_state", "pooler_output"],
            dynamic_axes=dict.fromkeys((*inputs, "last_hidden_state"), axes),
            opset_version=opset,
            dynamo=False,
        )
    return path
