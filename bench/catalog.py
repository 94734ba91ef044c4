"""The contenders of `python -m bench run` and their Python environments."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.process import ROOT, Worker

Environment = Literal["runtime", "build", "bench", "peers"]
PYTHONS: dict[Environment, Path] = {
    "runtime": Path(sys.executable),
    "build": ROOT / ".venv-build" / "bin" / "python",
    "bench": ROOT / ".venv-bench" / "bin" / "python",
    "peers": ROOT / ".venv-peers" / "bin" / "python",
}


@dataclass(frozen=True)
class Entry:
    """A contender: its name on the command line, its environment, module and precision.

    `converted`: the source weights must be converted for it first.
    """

    name: str
    environment: Environment
    module: str
    precision: str
    converted: bool = False
    ours: bool = False

    @property
    def limit(self) -> str:
        """The peak it is compared with: int8 or fp32, because ONNX Runtime has no 16-bit matrix product on x86."""
        return "int8" if self.precision.startswith("int8") else "fp32"


PEERS = (
    Entry("torch-fp32", "build", "bench.contenders.torch_model", "fp32"),
    Entry("torch-bf16", "build", "bench.contenders.torch_model", "bf16"),
    Entry("ort-fp32", "runtime", "bench.contenders.plain_export", "fp32"),
    Entry("ort-int8", "runtime", "bench.contenders.plain_export", "int8"),
    Entry("openvino-bf16", "bench", "bench.contenders.openvino_model", "bf16"),
    Entry("openvino-int8", "bench", "bench.contenders.openvino_model", "int8", converted=True),
    Entry("ctranslate2-int8", "bench", "bench.contenders.ctranslate2_model", "int8", converted=True),
    Entry("fastembed-fp32", "bench", "bench.contenders.fastembed_model", "fp32"),
)
PEAKS = tuple(Entry(f"peak-{kind}", "runtime", "bench.contenders.peak", kind) for kind in ("fp32", "int8"))
SOURCE = Entry("source", "build", "bench.source", "fp32", converted=True)


def ours(precisions: Iterable[str]) -> tuple[Entry, ...]:
    """Return our own contenders: one for each variant, named after its precision."""
    return tuple(
        Entry(precision, "runtime", "bench.contenders.variant", precision, ours=True) for precision in precisions
    )


def missing(entry: Entry) -> str:
    """Return why a contender cannot be started, or an empty string."""
    python = PYTHONS[entry.environment]
    if python.exists():
        return ""
    folder = python.parents[1].name
    return f"{entry.name}: there is no {folder}; `make {folder}/ready` makes it"


def start(entry: Entry, threads: int, offline: bool = True) -> Worker:
    """Start a contender's worker; OpenMP pools are limited to `threads`."""
    environment = {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    if offline:
        # No downloads while others are measured. `CI` turns off OpenVINO's telemetry.
        environment |= {"HF_HUB_OFFLINE": "1", "CI": "true"}
    return Worker(entry.name, PYTHONS[entry.environment], ("bench.worker", entry.module), environment)
