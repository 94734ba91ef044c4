"""`python -m bench.worker MODULE`: run one contender on behalf of the parent process.

Requests arrive on standard input, one JSON object per line: `{"op": "load", "task": {...}}`, then `{"op": "run", ...}`
and so on. Each gets one line on standard output: the response or `{"error": "..."}`. End of input ends the process.
Needs only numpy and what MODULE imports.
"""

import base64
import importlib
import importlib.metadata
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.contenders import Contender, Task
from bench.conversation import Answer, converse
from server.system.machine import resident_bytes

# A run shorter than this is preceded by an untimed one, because other contenders have evicted its caches.
SETTLE_S = 1.0


class ContenderSession:
    """Request handlers: the module, and the contender once it is loaded."""

    def __init__(self, module: str) -> None:
        self._module = importlib.import_module(module)
        self._contender: Contender | None = None

    @property
    def operations(self) -> Mapping[str, Callable[..., Answer]]:
        """Operations by name."""
        return {
            "prepare": self.prepare,
            "load": self.load,
            "run": self.run,
            "embed": self.embed,
            "memory": self.memory,
        }

    def prepare(self, task: dict[str, Any]) -> Answer:
        """Convert the model if the module needs that."""
        prepare = getattr(self._module, "prepare", None)
        return (prepare(Task(**task)) or {}) if prepare else {}

    def load(self, task: dict[str, Any]) -> Answer:
        """Load the contender; return seconds, memory in bytes, versions and notes."""
        started = time.perf_counter()
        self._contender = self._module.load(Task(**task))
        seconds = time.perf_counter() - started
        versions = {name: importlib.metadata.version(name) for name in self._module.PACKAGES}
        return {"seconds": seconds, "versions": versions, "notes": self._loaded.notes(), **self.memory()}

    def run(self, sequences: list[list[int]], seconds: float, most: int) -> Answer:
        """Run until `seconds` have been measured, at most `most` times; return the seconds of each run."""
        first = _timed(self._loaded, sequences)
        if first >= max(seconds, SETTLE_S):
            return {"seconds": [first]}
        measured: list[float] = []
        while not measured or (sum(measured) < seconds and len(measured) < most):
            measured.append(_timed(self._loaded, sequences))
        return {"seconds": measured}

    def embed(self, sequences: list[list[int]]) -> Answer:
        """Compute vectors; return their shape and their float32 bytes in base64."""
        vectors = np.ascontiguousarray(self._loaded.run(sequences), np.float32)
        return {"shape": vectors.shape, "vectors": base64.b64encode(vectors.tobytes()).decode("ascii")}

    def memory(self) -> Answer:
        """Return the process's resident bytes, current and peak."""
        return {"resident": resident_bytes(), "peak": _peak_bytes()}

    @property
    def _loaded(self) -> Contender:
        if self._contender is None:
            raise RuntimeError("nothing is loaded yet")
        return self._contender


def main() -> int:
    """Serve requests until the parent closes standard input."""
    return converse(lambda: ContenderSession(sys.argv[1]))


def _timed(contender: Contender, sequences: list[list[int]]) -> float:
    started = time.perf_counter()
    contender.run(sequences)
    return time.perf_counter() - started


def _peak_bytes() -> int | None:
    try:
        status = Path("/proc/self/status").read_text("ascii")
    except OSError:
        return None
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    raise SystemExit(main())
