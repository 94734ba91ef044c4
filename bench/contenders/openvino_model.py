"""OpenVINO on optimum's export: int8 from NNCF's post-training quantization, or the fp32 graph run in bf16."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino
from tokenizers import Tokenizer

from bench import cached
from bench.contenders import Task, Vectors
from bench.contenders.padding import check_comparable, pad, pool
from build import texts

PACKAGES = ("openvino", "nncf")
_EXPORT = "plain-fp32/model.onnx"
_INT8 = "openvino-int8"
# NNCF's default.
_CALIBRATION_TEXTS = 300
_CALIBRATION_TOKENS = 512


class OpenvinoModel:
    """A compiled model; pooling and normalisation in numpy."""

    def __init__(self, model: openvino.CompiledModel, pooling: str) -> None:
        self._model = model
        self._pooling = pooling
        self._request = model.create_infer_request()

    def run(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        """Return unit vectors for one padded batch."""
        inputs = _inputs(self._model, sequences)
        hidden = self._request.infer(inputs, share_inputs=True, share_outputs=True)[0]
        return pool(hidden, inputs["attention_mask"], self._pooling)

    def notes(self) -> dict[str, Any]:
        """Return the inference precision that OpenVINO chose."""
        return {"inference_precision": str(self._model.get_property("INFERENCE_PRECISION_HINT"))}


def prepare(task: Task) -> None:
    """Quantize to int8 with NNCF, calibrated on the project's texts; do nothing for bf16."""
    folder = Path(task.cache) / _INT8
    if task.precision != "int8" or folder.is_dir():
        return
    model = openvino.Core().read_model(Path(task.cache) / _EXPORT)
    tokenizer = Tokenizer.from_file(str(Path(task.source) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(_CALIBRATION_TOKENS)
    samples = [_inputs(model, [encoding.ids]) for encoding in tokenizer.encode_batch(texts.read().items)]
    quantized = nncf.quantize(
        model,
        nncf.Dataset(samples),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=_CALIBRATION_TEXTS,
    )
    with cached.folder(folder) as staged:
        openvino.save_model(quantized, staged / "model.xml")


def load(task: Task) -> OpenvinoModel:
    """Compile for the CPU, optimized for latency."""
    check_comparable(task)
    int8 = task.precision == "int8"
    settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": task.threads, "PERFORMANCE_HINT": "LATENCY"}
    settings |= {} if int8 else {"INFERENCE_PRECISION_HINT": task.precision}
    path = Path(task.cache) / (f"{_INT8}/model.xml" if int8 else _EXPORT)
    return OpenvinoModel(openvino.Core().compile_model(path, "CPU", settings), task.pooling)


def _inputs(model: openvino.Model | openvino.CompiledModel, sequences: Sequence[Sequence[int]]) -> dict[str, Any]:
    ids, mask = pad(sequences)
    known = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    return {name: known[name] for name in (node.get_any_name() for node in model.inputs)}
