"""Startup: resolves the settings, then opens, verifies, warms and measures the engine."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from server.batching.calibration import (
    MOST_TOKENS,
    Warmed,
    check_batch,
    check_streams,
    measure,
    warm,
    warm_gpu,
    worth_streams,
)
from server.errors import GraphInputError, InferenceError, StartError
from server.inference import device
from server.inference.engine import Engine, Ids, OnnxEngine, Resources
from server.inference.session import MEMORY_SHARE
from server.model.artifact import find_artifact, verifying
from server.model.tokenization import Tokenizer
from server.service.loaded_model import LoadedModel
from server.settings import Settings
from server.system import machine
from server.telemetry import traces


def load(settings: Settings) -> LoadedModel:
    """Choose the device and precision, and load the manifest and the tokenizer.

    Raises:
        StartError: the model, the device or a limit cannot be used as configured.
    """
    choice = device.detect(settings.device, settings.quantization)
    artifact = find_artifact(settings.models_dir, settings.model, choice.precision, cuda=choice.device == "cuda")
    threads = machine.inference_threads(settings.threads)
    max_tokens = artifact.manifest.max_tokens
    check_batch(settings, max_tokens)
    check_streams(settings, threads.count, choice.device)
    return LoadedModel(
        settings=settings,
        artifact=artifact,
        choice=choice,
        threads=threads,
        tokenizer=Tokenizer(artifact.tokenizer_path, max_tokens, artifact.manifest.unpooled_by_prompt),
        tracer=traces.connect(settings.otel_exporter_otlp_endpoint),
    )


def start_engine(loaded: LoadedModel, prepare: Callable[[], None] | None = None) -> tuple[OnnxEngine, Warmed]:
    """Load and verify the graph, and warm the engine; the thread that opens the session calls `prepare` first.

    ONNX Runtime's own threads inherit that thread's priority.

    Raises:
        StartError: the graph is not the one that was built, cannot be loaded or fails to run.
    """
    try:
        engine, warmed = (_start_on_gpu if loaded.choice.device == "cuda" else _start_on_cpu)(loaded, prepare)
        loaded.tokenizer.computable = _computable(engine, loaded.tokenizer)
    except InferenceError as error:
        path = loaded.artifact.model_path
        raise StartError(f"{path} was loaded but does not compute on {loaded.choice.device}: {error}") from error
    return engine, warmed


def _computable(engine: Engine, tokenizer: Tokenizer) -> int:
    """Return how many token ids the graph has embeddings for: older builds did not check this."""
    low, high = max(tokenizer.prefix + tokenizer.suffix, default=0), tokenizer.largest_id
    middle = high
    while low < high:
        if _computes(engine, [*tokenizer.prefix, middle, *tokenizer.suffix]):
            low = middle
        else:
            high = middle - 1
        middle = (low + high + 1) // 2
    return low + 1


def _computes(engine: Engine, ids: list[int]) -> bool:
    try:
        engine.embed([np.array(ids, np.int64)])
    except InferenceError as error:  # Any other error means that the id itself was accepted.
        return not isinstance(error, GraphInputError)
    return True


def gpu_memory(loaded: LoadedModel) -> int | None:
    """Resolve GPU_MEMORY_MB to bytes; None on CPU, or if the GPU's memory is unknown."""
    if loaded.choice.device != "cuda":
        return None
    if loaded.settings.gpu_memory_mb:
        return loaded.settings.gpu_memory_mb * 2**20
    return int(MEMORY_SHARE * loaded.choice.gpu_memory) if loaded.choice.gpu_memory else None


def _start_on_gpu(loaded: LoadedModel, prepare: Callable[[], None] | None) -> tuple[OnnxEngine, Warmed]:
    engine = _open(loaded, 1, prepare)
    return engine, warm_gpu(engine, _short_text(loaded), loaded.settings, packed=loaded.artifact.variant.packed)


def _start_on_cpu(loaded: LoadedModel, prepare: Callable[[], None] | None) -> tuple[OnnxEngine, Warmed]:
    """Open the graph with STREAMS streams, or with one, and reopen it if one stream per thread is better."""
    settings, packed, text = loaded.settings, loaded.artifact.variant.packed, _short_text(loaded)
    streams, threads = settings.streams or 1, loaded.threads.count
    engine = _open(loaded, streams, prepare)
    cost = measure(engine, text, packed=packed, streams=streams)
    if settings.streams is None and worth_streams(cost, engine.max_tokens, threads):
        streams = threads
        del engine  # so that only one is in memory
        engine = _open(loaded, streams, prepare)
        cost = measure(engine, text, packed=packed, streams=streams)
    return engine, warm(engine, text, settings, cost, streams)


def _open(loaded: LoadedModel, streams: int, prepare: Callable[[], None] | None) -> OnnxEngine:
    manifest, device_name, packed = loaded.artifact.manifest, loaded.choice.device, loaded.artifact.variant.packed
    most = loaded.settings.max_batch_tokens or max(MOST_TOKENS[device_name], manifest.max_tokens)
    resources = Resources(device_name, loaded.threads.count // streams, most, packed, gpu_memory(loaded))
    with verifying(loaded.artifact, loaded.settings.model), ThreadPoolExecutor(1, "open", prepare) as pool:
        opened = pool.submit(OnnxEngine, loaded.artifact.model_path, manifest.dimension, manifest.max_tokens, resources)
        return opened.result()


def _short_text(loaded: LoadedModel) -> Ids:
    return np.array(loaded.tokenizer.encode(["warm"])[0].ids, np.int64)
