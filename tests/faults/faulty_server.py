"""Runs the server with an ONNX Runtime session that injects the fault named in the file FAULT."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from server.__main__ import main
from server.inference.engine import OnnxEngine
from server.service import startup

FAULT = Path(os.environ["FAULT"])


class FaultySession:
    """A session that reads the file before each run and injects that fault; none while the file is empty."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, outputs: list[str], inputs: dict[str, Any]) -> list[Any]:
        fault = FAULT.read_text()
        if fault == "raise":
            raise RuntimeError("a detail that must not leave the process")
        if fault == "memory":
            raise RuntimeError("CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc((void**)&p, size);")
        if fault == "lost":
            raise RuntimeError("CUDA failure 719: unspecified launch failure ; GPU=0 ; expr=cudaStreamSynchronize(s);")
        if fault == "exit":
            raise SystemExit
        if fault == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        while FAULT.read_text() == "hang":
            time.sleep(0.01)
        (vectors,) = self._session.run(outputs, inputs)
        return [_spoilt(vectors, fault)]


def _spoilt(vectors: Any, fault: str) -> Any:
    if fault == "nan":
        return np.full_like(vectors, np.nan)
    if fault == "norm":
        return 2 * vectors
    if fault == "shape":
        return vectors[:, 1:]
    return -vectors if fault == "other" else vectors


def faulty_engine(*arguments: Any) -> OnnxEngine:
    engine = OnnxEngine(*arguments)
    engine._session = FaultySession(engine._session)
    return engine


if __name__ == "__main__":
    vars(startup)["OnnxEngine"] = faulty_engine
    raise SystemExit(main([]))
