"""Check free disk and memory before a build."""

import math
import shutil
from pathlib import Path

from safetensors import SafetensorError, safe_open

from build.errors import BuildError
from build.sources.snapshot import Snapshot

# Measured at BGE-large size (weights 1.34 GB): see docs/quantization.md, "What a build needs".
_MEMORY_PER_WEIGHT_BYTE = 4.6
_DISK_PER_WEIGHT_BYTE = 5.0
_MEMORY_FLOOR = 1_200_000_000


def check(snapshot: Snapshot, models_dir: Path) -> None:
    """Check that the build can finish.

    Raises:
        BuildError: too little free disk or memory.
    """
    weights = sum(_fp32_bytes(path) for path in snapshot.weight_files)
    _enough("disk", shutil.disk_usage(models_dir).free, int(weights * _DISK_PER_WEIGHT_BYTE), f"in {models_dir}")
    _enough("memory", free_memory(), int(weights * _MEMORY_PER_WEIGHT_BYTE) + _MEMORY_FLOOR, "on this machine")


def _fp32_bytes(path: Path) -> int:
    """Return the size of a file's weights in fp32, whatever they are stored in, and at least the file's own size."""
    size = path.stat().st_size
    if path.suffix != ".safetensors":  # a graph's, which holds fp32
        return size
    try:
        with safe_open(path, "np") as weights:
            elements = sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.offset_keys())
            return max(size, int(4 * elements))
    except SafetensorError:  # loading it says what is wrong
        return size


def free_memory(root: Path = Path("/")) -> int:
    """Return the bytes available to this process: the minimum of the machine's and its cgroup's."""
    available = [_meminfo(root / "proc/meminfo")]
    for limit, used in (
        ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current"),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        bounds = _number(root / limit), _number(root / used)
        if bounds[0] is not None and bounds[1] is not None:
            available.append(max(bounds[0] - bounds[1], 0))
    return min(available)


def _enough(what: str, free: int, needed: int, where: str) -> None:
    if free < needed:
        raise BuildError(
            f"not enough {what} {where}: this build needs about {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free. "
            "Free some, or pass --no-preflight to try all the same (the models in place stay as they are)."
        )


def _meminfo(path: Path) -> int:
    for line in path.read_text("ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise BuildError(f"{path} does not say how much memory is available")


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):  # Absent, or the word `max`.
        return None
