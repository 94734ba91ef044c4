"""What `/info` says of a running server, under this service's names and Text Embeddings Inference's."""

import msgspec

from server import __version__, machine
from server.cost import Pace
from server.device import PROVIDERS
from server.loaded import Loaded


def describe(loaded: Loaded, pace: Pace) -> dict[str, object]:
    """Return what was decided at start: model, machine and limits."""
    manifest, variant, choice = loaded.artifact.manifest, loaded.artifact.variant, loaded.choice
    source = manifest.source
    return {
        "model": manifest.name,
        "source": {"kind": source.kind, "id": source.id, "revision": source.revision, "licence": source.licence},
        "architecture": manifest.architecture,
        "dimension": manifest.dimension,
        "max_tokens": manifest.max_tokens,
        "pooling": manifest.pooling,
        "prompts": manifest.prompts,
        "precision": variant.precision,
        "notes": manifest.notes,
        "precision_reason": choice.precision_reason,
        "fidelity": msgspec.to_builtins(variant.fidelity),
        "device": choice.device,
        "device_reason": choice.device_reason,
        "provider": PROVIDERS[choice.device],
        "cpu_flags": machine.cpu_flags(),
        "threads": loaded.threads.count,
        "threads_reason": loaded.threads.reason,
        "limits": _limits(loaded, pace),
        **_tei_info(loaded, pace),
    }


def _limits(loaded: Loaded, pace: Pace) -> dict[str, object]:
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


def _tei_info(loaded: Loaded, pace: Pace) -> dict[str, object]:
    manifest = loaded.artifact.manifest
    dtypes = {"fp32": "float32", "fp16": "float16"}
    return {
        "model_id": manifest.source.id,
        "model_sha": manifest.source.revision,
        "model_dtype": dtypes.get(loaded.artifact.variant.precision, "int8"),
        "model_type": {"embedding": {"pooling": manifest.pooling}},
        "max_input_length": manifest.max_tokens,
        "max_batch_tokens": pace.batch_tokens,
        "max_client_batch_size": loaded.settings.max_client_batch_size,
        "auto_truncate": loaded.settings.auto_truncate,
        "version": __version__,
    }
