"""The engine: computes unit vectors from token ids with ONNX Runtime. Independent of text, requests and HTTP."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from server.errors import DeviceLostError, GpuMemoryError, GraphInputError, InferenceError, StartError
from server.inference import cuda
from server.inference.device import DeviceName, cuda_version
from server.inference.io_binding import BoundSession
from server.inference.session import cuda_options, open_session, placement
from server.system.machine import trim_heap

INPUTS = {"input_ids": "tensor(int64)", "attention_mask": "tensor(int64)"}
OUTPUT = "sentence_embedding"

# The overhead of a run, expressed as the tokens of padding that cost the same.
RUN_OVERHEAD_TOKENS = 64
# fp16 graphs round the norm itself to about 1e-3.
NORM_TOLERANCE = 5e-3

Vectors = NDArray[np.float32]
Ids = NDArray[np.int64]
Tokens = Sequence[int] | Ids


class Engine(Protocol):
    """The interface of engines, which compute vectors."""

    @property
    def dimension(self) -> int:
        """Number of components of a vector."""
        ...

    @property
    def max_tokens(self) -> int:
        """Maximum length of a sequence in tokens, special tokens included."""
        ...

    def embed(self, sequences: Sequence[Tokens]) -> Vectors:
        """Return unit vectors of shape [len(sequences), dimension], in order. Blocking."""
        ...


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources of a session: a device, its inference threads, and the tokens of one run.

    `packed` says that the graph computes no padding, so that texts of any lengths can share a run; `gpu_memory` limits
    the GPU memory used, in bytes.
    """

    device: DeviceName
    threads: int
    batch_tokens: int
    packed: bool = False
    gpu_memory: int | None = None


class OnnxEngine:
    """An Engine on one ONNX Runtime session."""

    def __init__(self, path: Path, dimension: int, max_tokens: int, resources: Resources) -> None:
        """Load the graph at `path`.

        Raises:
            StartError: the device cannot be used, or the graph's interface is not the one the manifest describes.
        """
        self.dimension = dimension
        self.max_tokens = max_tokens
        self._split = split_packed if resources.packed else split
        self._batch_tokens = resources.batch_tokens
        on_cuda = resources.device == "cuda"
        self._options = cuda_options(resources.gpu_memory) if on_cuda else {}
        session = open_session(path, resources.device, resources.threads, self._options, packed=resources.packed)
        trim_heap()
        _check_interface(session, path, dimension)
        self._placement = placement(session) if on_cuda else None
        self._session = BoundSession(session, dimension, cuda.page_locks(cuda_version())) if on_cuda else session

    @property
    def nodes_on_cpu(self) -> int:
        """Number of the graph's nodes that run on the CPU although the device is a GPU."""
        return self._placement.on_cpu if self._placement else 0

    def report(self) -> Iterator[str]:
        """Yield log lines about the use of the GPU; none on CPU."""
        if self._placement:
            yield f"CUDA options: {' '.join(f'{name}={value}' for name, value in self._options.items())}"
            yield f"graph nodes: {self._placement}"
        if isinstance(self._session, BoundSession):
            yield f"host buffers: {'page-locked' if self._session.locked else 'pageable'}"

    def embed(self, sequences: Sequence[Tokens]) -> Vectors:
        """Compute unit vectors of shape [len(sequences), dimension], float32, in the order given.

        Raises:
            InferenceError: the runtime failed, or returned something other than finite unit vectors.
        """
        vectors = np.empty((len(sequences), self.dimension), np.float32)
        for run in self._split([len(sequence) for sequence in sequences], self._batch_tokens):
            vectors[run] = self._run([sequences[position] for position in run])
        return vectors

    def _run(self, sequences: Sequence[Tokens]) -> Vectors:
        ids, mask = pad(sequences)
        try:
            (output,) = self._session.run([OUTPUT], {"input_ids": ids, "attention_mask": mask})
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise _failure(error) from error
        return check_vectors(np.asarray(output), len(sequences), self.dimension)


def _failure(error: Exception) -> InferenceError:
    if cuda.is_out_of_memory(error):
        return GpuMemoryError("the GPU has too little memory for this batch; send fewer or shorter texts")
    if report := cuda.device_error(error):
        return DeviceLostError(f"the GPU is lost: {report}")
    if isinstance(error, InvalidArgument):  # Deterministic: no advice to repeat.
        return GraphInputError("inference failed: the graph does not take one of the texts computed together")
    return InferenceError(f"inference failed ({type(error).__name__}); the request may be repeated")


def split(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Divide sequences into runs of similar length; return lists of positions in `lengths`.

    A run's padded size (its count times its longest) is at most `budget` tokens, unless a single sequence exceeds it,
    and its padding at most RUN_OVERHEAD_TOKENS or an eighth of its size, whichever is more.
    """
    runs: list[list[int]] = []
    longest = used = 0
    for position in sorted(range(len(lengths)), key=lambda position: -lengths[position]):
        length = lengths[position]
        size = longest * (len(runs[-1]) + 1) if runs else 0
        padding = size - used - length
        if runs and size <= budget and padding <= max(RUN_OVERHEAD_TOKENS, size // 8):
            runs[-1].append(position)
            used += length
        else:
            runs.append([position])
            longest = used = length
    return runs


def split_packed(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Divide sequences into runs for a graph that computes no padding; return lists of positions in `lengths`.

    A run has at most `budget` tokens, unless a single sequence exceeds it. Similar lengths share a run, because the
    graph computes attention for one group of equal lengths at a time.
    """
    runs: list[list[int]] = []
    used = budget  # so that the first sequence opens a run
    for position in sorted(range(len(lengths)), key=lambda position: -lengths[position]):
        if used + lengths[position] > budget:
            runs.append([])
            used = 0
        runs[-1].append(position)
        used += lengths[position]
    return runs


def pad(sequences: Sequence[Tokens]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return ids and attention mask, both [len(sequences), longest], padded with 0 on the right."""
    shape = len(sequences), max(map(len, sequences))
    ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
        mask[row, : len(sequence)] = 1
    return ids, mask


def check_vectors(output: NDArray[np.generic], count: int, dimension: int) -> Vectors:
    """Check that `output` is `count` finite float32 unit vectors, and return it.

    Raises:
        InferenceError: it is not.
    """
    if output.shape != (count, dimension) or output.dtype != np.float32:
        raise InferenceError(f"the model returned {output.dtype}{list(output.shape)}, not float32{[count, dimension]}")
    vectors = output.astype(np.float32, copy=False)
    norms = np.linalg.norm(vectors, axis=1)
    if not np.isfinite(norms).all():
        raise InferenceError("the model returned numbers that are not finite")
    if (abs(norms - 1) > NORM_TOLERANCE).any():
        raise InferenceError("the model returned vectors that are not of unit length")
    return vectors


def _check_interface(session: onnxruntime.InferenceSession, path: Path, dimension: int) -> None:
    inputs = {node.name: node.type for node in session.get_inputs()}
    outputs = {node.name: (node.type, node.shape[-1]) for node in session.get_outputs()}
    if inputs != INPUTS:
        raise StartError(f"{path} takes {inputs}, expected {INPUTS}; build the model again")
    if outputs != {OUTPUT: ("tensor(float)", dimension)}:
        raise StartError(
            f"{path} returns {outputs}, expected {OUTPUT} of float with {dimension} components as its manifest says; "
            "build the model again"
        )
