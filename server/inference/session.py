"""Opening an ONNX Runtime session on a device, and what came of it."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime

from server.errors import StartError
from server.inference import cuda
from server.inference.device import PROVIDERS, DeviceName

# Of the GPU's memory, when no limit is set: the rest is for CUDA's own context and libraries.
MEMORY_SHARE = 0.9

Options = dict[str, str]


@dataclass(frozen=True, slots=True)
class Placement:
    """How many nodes of the graph each provider runs; empty where ONNX Runtime does not tell."""

    nodes: dict[str, int]

    @property
    def on_cpu(self) -> int:
        """Nodes that the CPU runs."""
        return self.nodes.get(PROVIDERS["cpu"], 0)

    def __str__(self) -> str:
        return ", ".join(f"{count} on {name}" for name, count in sorted(self.nodes.items())) or "unknown"


def cuda_options(memory_limit: int | None) -> Options:
    """The CUDA provider's options; `memory_limit` in bytes bounds its arena.

    The arena takes what is asked for, not the next power of two: the largest batch comes first and sets its size.
    TF32 would round fp32's products to 10 bits. Strict mode lets SkipLayerNormalization add up in fp32.
    """
    options = {
        "device_id": "0",
        "arena_extend_strategy": "kSameAsRequested",
        "use_tf32": "0",
        "enable_skip_layer_norm_strict_mode": "1",
    }
    return options if memory_limit is None else options | {"gpu_mem_limit": str(memory_limit)}


def open_session(
    path: Path, device: DeviceName, threads: int, options: Options, *, packed: bool
) -> onnxruntime.InferenceSession:
    """Open the graph at `path` on `device`, and on nothing else; on CPU a `packed` graph runs as it was built.

    Raises:
        StartError: it cannot be loaded there.
    """
    provider = PROVIDERS[device]
    try:
        # Without this ONNX Runtime answers a failing GPU by going on with the CPU, at start and while serving.
        session = onnxruntime.InferenceSession(
            path, _session_options(device, threads, packed), providers=[(provider, options)], enable_fallback=0
        )
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's exceptions share no base class
        hint = ". The GPU's memory is taken: see `nvidia-smi`, end what else runs there, or raise GPU_MEMORY_MB"
        raise StartError(
            f"{path} could not be loaded on {device}: {error}{hint if cuda.is_out_of_memory(error) else ''}"
        ) from None
    if provider not in session.get_providers():
        raise StartError(
            f"DEVICE={device}: ONNX Runtime could not use {provider} and fell back to {session.get_providers()}. "
            "Check that the NVIDIA driver is loaded and that requirements/runtime-gpu.txt is installed whole, "
            "or set DEVICE=cpu"
        )
    return session


def placement(session: Any) -> Placement:  # noqa: ANN401 - a session, or what acts as one
    """Ask a session which provider runs how many nodes; one that was opened for CUDA has recorded it."""
    try:
        parts = session.get_provider_graph_assignment_info()
    except Exception:  # noqa: BLE001 - not recorded, or an ONNX Runtime that cannot tell
        return Placement({})
    count: Counter[str] = Counter()
    for part in parts:
        count[part.ep_name] += len(part.get_nodes())
    return Placement(dict(count))


def _session_options(device: DeviceName, threads: int, packed: bool) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads if device == "cpu" else 1  # a GPU's nodes use none of them
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # a pattern is planned per input shape, and here nearly every shape is new
    options.log_severity_level = 4  # What fails is raised, and logged here: its own lines would wait for who reads them
    # Spinning inside a run makes short texts 20 to 30 % faster; between runs it would only burn the cores that
    # the tokenizer and the event loop need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if device == "cpu" and packed:
        # Its passes have done what pays; ONNX Runtime's would take time at start and fuse BiasGelu, which is slower.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if device == "cuda":
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options
