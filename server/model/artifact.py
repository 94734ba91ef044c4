"""Opens a built model after verifying its files against the manifest."""

import hashlib
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from server.errors import StartError
from server.model import space, staging
from server.model.manifest import FOR_CUDA, File, Manifest, Precision, QualityVerdict, Variant, VariantName, decode


@dataclass(frozen=True, slots=True)
class Artifact:
    """One precision of a built model."""

    manifest: Manifest
    variant: Variant
    model_path: Path
    tokenizer_path: Path

    @property
    def space(self) -> str:
        """The id of the embedding space: NAME@HASH/PRECISION."""
        return space.of_variant(self.manifest, self.variant)


def artifact_name(model: str) -> str:
    """Return the name under which a model is built: the last part of its Hub id or folder, or the name itself."""
    return model.rstrip("/").rsplit("/", 1)[-1]


def open_artifact(models_dir: Path, model: str, precision: Precision, *, cuda: bool = False) -> Artifact:
    """Find `model` like `find_artifact`, and verify its graph too.

    Raises:
        StartError: as `find_artifact`, or the graph's digest is wrong.
    """
    artifact = find_artifact(models_dir, model, precision, cuda=cuda)
    _check_graph(artifact, model)
    return artifact


def find_artifact(models_dir: Path, model: str, precision: Precision, *, cuda: bool = False) -> Artifact:
    """Find `model` (its name or Hub id) in `precision`, after completing an interrupted commit of its build.

    Verifies everything except the digests of the graph's files, which `verifying` checks while the graph is loaded.
    With `cuda`, the graph for CUDA is preferred to the one for any device.

    Raises:
        StartError: the model, the precision or a file is missing, or differs from the manifest; the message names
            the file, the expected and actual value, and the command that fixes it.
    """
    _finish_commit(models_dir, model)
    manifest = read_manifest(models_dir, model)
    variant = _select_variant(manifest, precision, model, cuda=cuda)
    graph, *_ = (_present_whole(models_dir, file, model) for file in variant.files)
    return Artifact(
        manifest=manifest,
        variant=variant,
        model_path=graph,
        tokenizer_path=_verified(models_dir, manifest.tokenizer, model),
    )


def find_verdict(models_dir: Path, model: str) -> QualityVerdict:
    """Return what `make choose` wrote into the manifest of `model`.

    Raises:
        StartError: it wrote nothing since the model was built, or there is no such model.
    """
    _finish_commit(models_dir, model)
    manifest = read_manifest(models_dir, model)
    if manifest.chosen is msgspec.UNSET:
        raise StartError(
            f"QUANTIZATION=chosen: nothing was chosen for {manifest.name} since it was built. Choose on your own "
            f"texts: make choose MODEL={manifest.name} TEXTS=texts.jsonl BUDGET=0.5%; or set QUANTIZATION to one of "
            f"{', '.join(manifest.variants)}"
        )
    return manifest.chosen


@contextmanager
def verifying(artifact: Artifact, model: str) -> Iterator[None]:
    """Verify the graph's digests on another thread while the block loads it; use the graph only after the block.

    Raises:
        StartError: a digest is wrong; raised even if the block failed.
    """
    with ThreadPoolExecutor(1, "verify") as pool:
        check = pool.submit(_check_graph, artifact, model)
        try:
            yield
        finally:
            check.result()


def read_manifest(models_dir: Path, model: str) -> Manifest:
    """Read and validate the manifest of `model`.

    Raises:
        StartError: there is none, or it is not a manifest of this model.
    """
    name = artifact_name(model)
    file = f"{name}.json"
    path = _contained(models_dir, file) if (models_dir / file).exists() else None
    if path is None:
        raise StartError(f"{models_dir / file} not found; {_present(models_dir)}. Build it: {_remedy(model)}")
    try:
        manifest = decode(path.read_bytes())
    except (ValueError, OSError) as error:
        raise StartError(f"{path} is not a manifest: {error}. Build it again: {_remedy(model)}") from None
    if manifest.name != name:
        raise StartError(f"{path} describes the model {manifest.name}, expected {name}. Rename it back or rebuild")
    _check_spaces(manifest, path, model)
    return manifest


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def built_models(models_dir: Path) -> list[str]:
    """Return the names of the models whose manifests are in `models_dir`."""
    names = (path.name.removesuffix(".json") for path in models_dir.glob("[!.]*.json"))
    return sorted(name for name in names if not name.endswith(".tokenizer"))


def _finish_commit(models_dir: Path, model: str) -> None:
    staged = staging.staging_folder(models_dir, artifact_name(model))
    try:
        staging.commit_staged(models_dir, staged)
    except OSError as error:
        raise StartError(
            f"{staged} holds a finished build that could not be moved into place: {error}. "
            f"Make {models_dir} writable and build again: {_remedy(model)}"
        ) from None


def _check_spaces(manifest: Manifest, path: Path, model: str) -> None:
    """Check that ids can be computed, and that those written at the build still describe the manifest's variants."""
    try:
        computed = space.of_variants(manifest)
    except ValueError as error:
        raise StartError(f"{path} gives its vectors no name: {error}. Build it again: {_remedy(model)}") from None
    if manifest.spaces is msgspec.UNSET:
        return
    for name, current in computed.items():
        built = manifest.spaces.get(name, "none")
        if built != current:
            raise StartError(
                f"{path} was changed since it was built: it says that its vectors are of the space {built}, and "
                f"describes {current}. Build it again: {_remedy(model)}"
            )


def _select_variant(manifest: Manifest, precision: Precision, model: str, *, cuda: bool) -> Variant:
    name: VariantName = precision
    if cuda and FOR_CUDA.get(precision) in manifest.variants:
        name = FOR_CUDA[precision]
    variant = manifest.variants.get(name)
    if variant is None:
        built = ", ".join(manifest.variants) or "none"
        raise StartError(
            f"{manifest.name} was not built in {precision}; built: {built}. "
            f"Set QUANTIZATION to one of those, or build again: {_remedy(model)}"
        )
    if variant.precision != precision or (variant.device == "cuda") != (name != precision):
        actual = f"{variant.precision} for {variant.device} device"
        raise StartError(f"{manifest.name}.json lists {variant.file} under {name}, but as {actual}")
    return variant


def _verified(models_dir: Path, expected: File, model: str) -> Path:
    path = _present_whole(models_dir, expected, model)
    _check_digest(path, expected.sha256, model)
    return path


def _present_whole(models_dir: Path, expected: File, model: str) -> Path:
    path = _contained(models_dir, expected.file)
    size = path.stat().st_size
    if size != expected.bytes:
        raise StartError(f"{path} has {size} bytes, expected {expected.bytes}. Build it again: {_remedy(model)}")
    return path


def _check_graph(artifact: Artifact, model: str) -> None:
    for file in artifact.variant.files:
        _check_digest(artifact.model_path.with_name(file.file), file.sha256, model)


def _check_digest(path: Path, expected: str, model: str) -> None:
    try:
        digest = sha256(path)
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}. Build it again: {_remedy(model)}") from None
    if digest != expected:
        raise StartError(f"{path} has SHA-256 {digest}, expected {expected}. Build it again: {_remedy(model)}")


def _contained(models_dir: Path, file: str) -> Path:
    """Return the path of `file` in the folder, refusing paths and links that could lead outside it.

    ONNX loaders have had vulnerabilities through both symbolic and hard links (CVE-2026-27489, CVE-2026-34446).
    """
    folder = Path(os.path.realpath(models_dir))
    path = folder / file
    try:
        status = path.lstat()
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}; the manifest names it") from None
    if not stat.S_ISREG(status.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "not a regular file"
        raise StartError(f"{path} is {kind}, expected a regular file; copy the file itself into {models_dir}")
    if status.st_nlink != 1:
        raise StartError(f"{path} has {status.st_nlink} hard links, expected 1; copy the file instead of linking it")
    if Path(os.path.realpath(path)).parent != folder:
        raise StartError(f"{path} lies outside {folder}")
    return path


def _present(models_dir: Path) -> str:
    if not models_dir.is_dir():
        return f"there is no folder {models_dir} (MODELS_DIR)"
    names = built_models(models_dir)
    return f"built models there: {', '.join(names)}" if names else f"no model has been built in {models_dir}"


def _remedy(model: str) -> str:
    return f"make build-models MODEL={model}"
