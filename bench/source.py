"""Provide a built model's original weights and plain ONNX exports of them. Runs in the build environment."""

import shutil
from pathlib import Path

from onnxruntime.quantization import QuantType, quantize_dynamic

from bench import cached
from bench.contenders import Task
from build import sources
from build.errors import BuildError
from build.exporters.optimum_onnx import run_optimum
from build.sources import folder
from build.sources.snapshot import Snapshot
from server.model.artifact import read_manifest

# Files that libraries expect next to the graph.
_BESIDE = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def prepare(task: Task) -> dict[str, object]:
    """Find or fetch the source; export it in fp32 and stock dynamic int8, cached under `task.cache`.

    Returns `folder`, the weights' folder, and `config`, the parsed config.json.

    Raises:
        BuildError: the source cannot be found.
    """
    original = snapshot(task)
    plain, int8 = Path(task.cache) / "plain-fp32", Path(task.cache) / "plain-int8"
    if not plain.is_dir():
        with cached.folder(plain) as staged:
            run_optimum(original, staged)
            for name in _BESIDE:
                if (original.folder / name).is_file():
                    shutil.copyfile(original.folder / name, staged / name)
    if not int8.is_dir():
        with cached.folder(int8) as staged:
            quantize_dynamic(plain / "model.onnx", staged / "model.onnx", weight_type=QuantType.QInt8)
    return described(original)


def described(original: Snapshot) -> dict[str, object]:
    """Return `folder`, the weights' folder, and `config`, the parsed config.json."""
    return {"folder": str(original.folder.resolve()), "config": original.json("config.json")}


def snapshot(task: Task) -> Snapshot:
    """Read the original weights from `task.source`, or else from the build's cache or origin.

    Raises:
        BuildError: the weights cannot be found.
    """
    if task.source:
        return folder.read(Path(task.source))
    origin = read_manifest(Path(task.models_dir), task.model).source
    if origin.kind == "folder":
        raise BuildError(f"{task.model} was built from a folder: name it with --source FOLDER")
    if origin.kind != "hub":
        return sources.resolve(task.model, sources.CACHE)
    kept = sources.CACHE / f"{origin.id.replace('/', '--')}-{origin.revision[:12]}"
    return folder.read(kept) if kept.is_dir() else sources.resolve(origin.id, sources.CACHE, origin.revision)
