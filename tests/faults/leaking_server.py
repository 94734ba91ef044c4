"""Runs the server with an engine that leaks a megabyte per run, which the soak test must detect."""

from typing import Any

import numpy as np

from server.__main__ import main
from server.inference.engine import OnnxEngine
from server.service import startup

KEPT: list[Any] = []


class LeakingEngine(OnnxEngine):
    """An engine that leaks memory on every run."""

    def _run(self, sequences: Any) -> Any:
        KEPT.append(np.ones(1 << 17))
        return super()._run(sequences)


if __name__ == "__main__":
    vars(startup)["OnnxEngine"] = LeakingEngine
    raise SystemExit(main([]))
