"""A build that cannot finish is rejected before it starts."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from build import preflight
from build.errors import BuildError
from build.sources.snapshot import Snapshot


def machine(root: Path, available_kb: int, limit: str = "max") -> Path:
    for name, content in (
        ("proc/meminfo", f"MemTotal: 99 kB\nMemAvailable: {available_kb} kB\n"),
        ("sys/fs/cgroup/memory.max", limit),
        ("sys/fs/cgroup/memory.current", "1000"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_free_memory_is_what_the_machine_has(tmp_path: Path) -> None:
    assert preflight.free_memory(machine(tmp_path, 5000)) == 5000 * 1024


def test_free_memory_is_what_the_container_leaves(tmp_path: Path) -> None:
    assert preflight.free_memory(machine(tmp_path, 5000, limit="9000")) == 8000


def snapshot(root: Path, weight_bytes: int) -> Snapshot:
    with (root / "model.safetensors").open("wb") as stream:
        stream.truncate(weight_bytes)  # sparse
    return Snapshot(root, "folder", "m", "r", "mit", {"model.safetensors": ""})


@pytest.mark.parametrize(
    ("disk", "memory", "what", "needed"),
    [(10**9, 10**12, "disk", r"6\.7"), (10**12, 10**9, "memory", r"5\.\d")],
)
def test_refuses_and_says_how_much_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: int, memory: int, what: str, needed: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": disk}))
    monkeypatch.setattr(preflight, "free_memory", lambda: memory)
    with pytest.raises(BuildError, match=rf"not enough {what}.*needs about {needed} GB, 1\.0 GB are free"):
        preflight.check(snapshot(tmp_path, 1_340_000_000 if what == "disk" else 900_000_000), tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "onnx/model.onnx_data"])
def test_counts_weights_as_fp32_whatever_and_wherever_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".safetensors":
        save_file({"table": np.zeros((50_000, 1000), np.float16)}, path)
    else:
        with path.open("wb") as stream:
            stream.truncate(200_000_000)  # sparse
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 0}))
    with pytest.raises(BuildError, match=r"needs about 1\.0 GB"):
        preflight.check(Snapshot(tmp_path, "folder", "m", "r", "mit", {name: ""}), tmp_path)
