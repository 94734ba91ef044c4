"""The bodies of `/info`, `/health` and `/ready`, including the fields of Text Embeddings Inference."""

from typing import Annotated, TypedDict

import msgspec
from msgspec import Meta

from server import __version__
from server.batching.cost_model import Pace
from server.inference.device import PROVIDERS
from server.model.manifest import Fidelity, QualityVerdict
from server.model.tokenization import WORKERS
from server.service.loaded_model import LoadedModel
from server.system import machine


class Status(TypedDict):
    """A word on the server's state."""

    status: str


class ModelOrigin(TypedDict):
    """Where the weights came from."""

    kind: str
    id: str
    revision: str
    licence: str


class Limits(TypedDict):
    """What one request, and what all of them together may hold."""

    batch_tokens: int
    queue_tokens: int
    texts: int
    request_tokens: int
    text_characters: int
    body_bytes: int
    request_seconds: float


class TeiPooling(TypedDict):
    """How a text's vector is made from its tokens'."""

    pooling: str


class ModelType(TypedDict):
    """The kind of model, as Text Embeddings Inference tells it."""

    embedding: TeiPooling


class TeiInfo(TypedDict):
    """What Text Embeddings Inference's clients read."""

    model_id: str
    model_sha: str | None
    model_dtype: str
    served_model_name: str
    model_type: ModelType
    max_concurrent_requests: int
    max_input_length: int
    max_batch_tokens: int
    max_batch_requests: int | None
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int
    version: str
    sha: str | None
    docker_label: str | None


class Decided(TeiInfo):
    """What was decided at start."""

    model: str
    space: Annotated[str, Meta(description="The id of the vectors' embedding space, as in x-embedding-space.")]
    source: ModelOrigin
    architecture: str
    dimension: int
    int8_range: Annotated[
        float | None, Meta(description="The largest component that int8 output represents: code 127. Null: no int8.")
    ]
    max_tokens: int
    pooling: str
    prompts: Annotated[dict[str, str], Meta(description="What each of the model's prompts puts before a text.")]
    precision: str
    precision_reason: str
    chosen: Annotated[
        QualityVerdict | None,
        Meta(description="What `make choose` found on the user's own texts. Null: nothing was chosen."),
    ]
    notes: list[str]
    fidelity: Fidelity
    device: str
    device_reason: str
    provider: str
    cpu_flags: list[str]
    threads: int
    threads_reason: str
    streams: Annotated[int, Meta(description="Batches that are computed side by side.")]
    limits: Limits


class MemoryUse(TypedDict):
    """What connections and requests may hold, and hold now."""

    limit_bytes: int
    connections_bytes: int
    requests_bytes: int
    answers_bytes: int


class Info(Decided):
    """Model, machine and limits, and what Text Embeddings Inference's clients read. Fields may be added."""

    resident_bytes: int | None
    memory: MemoryUse


def describe(loaded: LoadedModel, pace: Pace) -> Decided:
    """Return what was fixed at startup: model, device and limits."""
    manifest, variant, choice = loaded.artifact.manifest, loaded.artifact.variant, loaded.choice
    source = manifest.source
    return {
        "model": manifest.name,
        "space": loaded.artifact.space,
        "source": {"kind": source.kind, "id": source.id, "revision": source.revision, "licence": source.licence},
        "architecture": manifest.architecture,
        "dimension": manifest.dimension,
        "int8_range": manifest.int8_range(manifest.dimension),
        "max_tokens": manifest.max_tokens,
        "pooling": manifest.pooling,
        "prompts": manifest.prompts,
        "precision": variant.precision,
        "notes": manifest.notes,
        "precision_reason": choice.precision_reason,
        "chosen": None if manifest.chosen is msgspec.UNSET else msgspec.to_builtins(manifest.chosen),
        "fidelity": msgspec.to_builtins(variant.fidelity),
        "device": choice.device,
        "device_reason": choice.device_reason,
        "provider": PROVIDERS[choice.device],
        "cpu_flags": list(machine.cpu_flags()),
        "threads": loaded.threads.count,
        "threads_reason": loaded.threads.reason,
        "streams": pace.streams,
        "limits": _limits(loaded, pace),
        **_tei_info(loaded, pace),
    }


def _limits(loaded: LoadedModel, pace: Pace) -> Limits:
    settings = loaded.settings
    return {
        "batch_tokens": pace.batch_tokens,
        "queue_tokens": pace.queue_tokens,
        "texts": settings.max_client_batch_size,
        "request_tokens": settings.max_request_tokens,
        "text_characters": settings.max_text_chars,
        "body_bytes": settings.max_body_bytes,
        "request_seconds": settings.request_timeout_s,
    }


def _tei_info(loaded: LoadedModel, pace: Pace) -> TeiInfo:
    manifest, settings = loaded.artifact.manifest, loaded.settings
    dtypes = {"fp32": "float32", "fp16": "float16"}
    return {
        "model_id": manifest.source.id,
        "model_sha": manifest.source.revision,
        "model_dtype": dtypes.get(loaded.artifact.variant.precision, "int8"),
        "served_model_name": manifest.name,
        "model_type": {"embedding": {"pooling": manifest.pooling}},
        "max_concurrent_requests": settings.max_connections,
        "max_input_length": manifest.max_tokens,
        "max_batch_tokens": pace.batch_tokens,
        "max_batch_requests": None,
        "max_client_batch_size": settings.max_client_batch_size,
        "auto_truncate": settings.auto_truncate,
        "tokenization_workers": WORKERS,
        "version": __version__,
        "sha": None,
        "docker_label": None,
    }
