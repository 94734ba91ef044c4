"""Opens an ONNX Runtime session on a device, and reports which provider runs its nodes."""

import mmap
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime

from server.errors import StartError
from server.inference import cuda
from server.inference.device import PROVIDERS, DeviceName
from server.model.manifest import WEIGHTS

# The default share of the GPU's memory; the rest is for CUDA's own context and libraries.
MEMORY_SHARE = 0.9

Options = dict[str, str]


@dataclass(frozen=True, slots=True)
class Placement:
    """The number of nodes that each provider runs; empty if ONNX Runtime does not report it."""

    nodes: dict[str, int]

    @property
    def on_cpu(self) -> int:
        """Number of nodes that run on the CPU."""
        return self.nodes.get(PROVIDERS["cpu"], 0)

    def __str__(self) -> str:
        return ", ".join(f"{count} on {name}" for name, count in sorted(self.nodes.items())) or "unknown"


def cuda_options(memory_limit: int | None) -> Options:
    """Return the CUDA provider's options; `memory_limit` in bytes limits its memory arena.

    The arena grows by the requested size, not to the next power of two: the largest batch runs first and sets its size.
    TF32 is off because it rounds the inputs of fp32 products to 10 bits of mantissa.
    """
    options = {"device_id": "0", "arena_extend_strategy": "kSameAsRequested", "use_tf32": "0"}
    return options if memory_limit is None else options | {"gpu_mem_limit": str(memory_limit)}


def open_session(
    path: Path, device: DeviceName, threads: int, options: Options, *, packed: bool
) -> onnxruntime.InferenceSession:
    """Open the graph at `path` on `device`, without fallback; on CPU a `packed` graph is not optimized further.

    Raises:
        StartError: it cannot be loaded there.
    """
    provider = PROVIDERS[device]
    session_options = _session_options(device, threads, packed)
    try:
        with _weights(path, session_options):
            # By default ONNX Runtime falls back to the CPU if the GPU fails, at start and while serving.
            session = onnxruntime.InferenceSession(
                path, session_options, providers=[(provider, options)], enable_fallback=0
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
    """Return how many nodes each provider runs, which a session opened for CUDA has recorded."""
    try:
        parts = session.get_provider_graph_assignment_info()
    except Exception:  # noqa: BLE001 - not recorded, or an ONNX Runtime that cannot tell
        return Placement({})
    count: Counter[str] = Counter()
    for part in parts:
        count[part.ep_name] += len(part.get_nodes())
    return Placement(dict(count))


@contextmanager
def _weights(path: Path, options: onnxruntime.SessionOptions) -> Iterator[None]:
    """Pass the file of the graph's weights, if there is one, for the session opened in the block.

    ONNX Runtime would map it into memory, so that writing to it later would change the vectors of a running server.
    What is passed it copies.
    """
    beside = path.with_name(f"{path.name}{WEIGHTS}")
    if not beside.exists():
        yield
        return
    with beside.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        options.add_external_initializers_from_files_in_memory([beside.name], [content], [len(content)])
        yield


def _session_options(device: DeviceName, threads: int, packed: bool) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads if device == "cpu" else 1  # unused on a GPU
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # planned per input shape, and nearly every shape is new
    options.log_severity_level = 4  # failures are raised and logged by us; its own log lines would block
    # Spinning within a run makes short texts 20 to 30 % faster; between runs it would only take CPU time from the
    # tokenizer and the event loop.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if device == "cpu" and packed:
        # The build has applied the useful passes; ONNX Runtime's take time at start and fuse BiasGelu, which is slower.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if device == "cuda":
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options
