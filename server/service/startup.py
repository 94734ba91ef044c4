"""Startup: resolves the settings, then opens, verifies, warms and measures the engine."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from server.batching.calibration import (
    MOST_TOKENS,
    Warmed,
    check_batch,
    check_streams,
    warm,
    warm_gpu,
)
from server.batching.stream_plan import pool_threads
from server.errors import GraphInputError, InferenceError, StartError
from server.inference import device
from server.inference.device import Choice
from server.inference.engine import Engine, Ids, OnnxEngine, Resources
from server.inference.session import MEMORY_SHARE
from server.model.artifact import find_artifact, find_verdict, verifying
from server.model.tokenization import Tokenizer
from server.service import memory_budget
from server.service.loaded_model import LoadedModel
from server.service.stream_search import StreamSearch
from server.settings import Settings
from server.system import machine
from server.telemetry import traces


def load(settings: Settings) -> LoadedModel:
    """Choose the device and precision, and load the manifest and the tokenizer.

    Raises:
        StartError: the model, the device or a limit cannot be used as configured.
    """
    choice = _choice(settings)
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


def _choice(settings: Settings) -> Choice:
    if settings.quantization != "chosen":
        return device.detect(settings.device, settings.quantization)
    verdict = find_verdict(settings.models_dir, settings.model)
    choice = device.detect(settings.device, verdict.precision)
    return choice._replace(precision_reason=f"set by QUANTIZATION=chosen, as `make choose` found: {verdict}")


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
    """Open the graph with STREAMS streams, or with as many as are best."""
    settings, text = loaded.settings, _short_text(loaded)
    search = stream_search(loaded, prepare)
    measured = search.open(settings.streams) if settings.streams else search.run()
    return measured.engine, warm(measured.engine, text, settings, measured.cost, measured.streams)


def stream_search(loaded: LoadedModel, prepare: Callable[[], None] | None = None) -> StreamSearch[OnnxEngine]:
    """Return a search for the number of streams of `loaded` on this CPU."""
    return StreamSearch(
        lambda streams: _open(loaded, streams, prepare),
        _short_text(loaded),
        loaded.settings,
        loaded.threads.count,
        memory_budget.engine_bytes(loaded.settings, loaded.artifact.manifest),
        packed=loaded.artifact.variant.packed,
    )


def _open(loaded: LoadedModel, streams: int, prepare: Callable[[], None] | None) -> OnnxEngine:
    manifest, device_name, packed = loaded.artifact.manifest, loaded.choice.device, loaded.artifact.variant.packed
    most = loaded.settings.max_batch_tokens or max(MOST_TOKENS[device_name], manifest.max_tokens)
    threads = pool_threads(loaded.threads.count, streams)
    resources = Resources(device_name, threads, most, packed, gpu_memory(loaded))
    with verifying(loaded.artifact, loaded.settings.model), ThreadPoolExecutor(1, "open", prepare) as pool:
        opened = pool.submit(OnnxEngine, loaded.artifact.model_path, manifest.dimension, manifest.max_tokens, resources)
        return opened.result()


def _short_text(loaded: LoadedModel) -> Ids:
    return np.array(loaded.tokenizer.encode(["warm"])[0].ids, np.int64)
