"""Exports of tiny models, created once per session."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from build.exporters.optimum_onnx import run_optimum
from build.sources import folder
from tests import tiny

Run = Callable[[ir.Model, list[list[int]]], NDArray[np.float32]]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that gives the path of optimum's export of a tiny model, by architecture."""

    @cache
    def make(architecture: str) -> Path:
        root = tmp_path_factory.mktemp(architecture)
        source = folder.read(tiny.snapshot(root / "tiny", architecture))
        run_optimum(source, root / "export")
        return root / "export" / "model.onnx"

    return make


@pytest.fixture(scope="session")
def run() -> Run:
    """Run a graph on padded token sequences with ORT's optimizations disabled."""

    def run(model: ir.Model, sequences: list[list[int]]) -> NDArray[np.float32]:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), options, ["CPUExecutionProvider"])
        width = max(map(len, sequences))
        ids = np.array([ids + [0] * (width - len(ids)) for ids in sequences], np.int64)
        mask = np.array([[1] * len(ids) + [0] * (width - len(ids)) for ids in sequences], np.int64)
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        names = {value.name for value in session.get_inputs()}
        return np.asarray(session.run(None, {name: feeds[name] for name in names})[0])

    return run
