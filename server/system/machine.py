"""The resources available to the process: cores, CPU quota, memory and instruction sets."""

import ctypes
import os
import platform
import re
import resource
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
SOON_S = 0.5
# From glibc's malloc.h.
M_ARENA_MAX = -8
PAGE_BYTES = resource.getpagesize()

# Instruction sets that decide how fast int8 and 16-bit models run, under Linux's names for them.
NOTED_FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimddp", "i8mm")


@dataclass(frozen=True, slots=True)
class Threads:
    """The number of inference threads, and the reason for it."""

    count: int
    reason: str


def inference_threads(requested: int | None, cpus: Iterable[int] | None = None, root: Path = ROOT) -> Threads:
    """Choose the number of inference threads.

    Args:
        requested: the THREADS setting, None for auto.
        cpus: logical CPUs the process may run on; None asks the kernel for its affinity mask.
        root: where /proc and /sys are found.
    """
    if requested is not None:
        return Threads(requested, "set by THREADS")
    allowed = sorted(os.sched_getaffinity(0) if cpus is None else cpus)
    cores = physical_cores(allowed, root)
    quota = cpu_quota(root)
    if quota is not None and quota < cores:
        # Rounded down: the event loop and the tokenizer share the quota, and exceeding it throttles them all.
        return Threads(max(1, int(quota)), f"cgroup quota of {quota:g} CPUs")
    return Threads(cores, f"{cores} physical cores among the {len(allowed)} logical CPUs allowed")


def physical_cores(cpus: Iterable[int], root: Path = ROOT) -> int:
    """Count the physical cores of the logical `cpus`; hyper-threads of one core count once."""
    cores = set()
    for cpu in cpus:
        siblings = root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        cores.add(_read(siblings) or str(cpu))
    return max(1, len(cores))


def cpu_quota(root: Path = ROOT) -> float | None:
    """Return the tightest CPU quota of the process's cgroups (v1 or v2), in CPUs; None when there is none."""
    folders = _cgroups("cpu", ("cpu", "cpu,cpuacct"), root)
    quotas = [_v2_quota(folder) if v2 else _v1_quota(folder) for folder, v2 in folders]
    return min((quota for quota in quotas if quota is not None), default=None)


def resident_bytes(root: Path = ROOT) -> int | None:
    """Return the process's resident memory in bytes; None without /proc."""
    statm = _read(root / "proc/self/statm")
    return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm else None


@dataclass(frozen=True, slots=True)
class HeldMemory:
    """The resident memory and the address space of the process, in bytes."""

    resident: int
    virtual: int


def held_memory(root: Path = ROOT) -> HeldMemory:
    """Return the current memory use of the process; zeros without /proc."""
    pages = (_read(root / "proc/self/statm") or "0 0").split()
    return HeldMemory(int(pages[1]) * PAGE_BYTES, int(pages[0]) * PAGE_BYTES)


def address_space_limit() -> int | None:
    """Return the limit on the process's address space in bytes (ulimit -v); None if there is no limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def memory_limit(root: Path = ROOT) -> int | None:
    """Return the memory limit of the process in bytes: the least of its cgroups' limits and the machine's memory."""
    folders = _cgroups("memory", ("memory",), root)
    limits = [_read(folder / ("memory.max" if v2 else "memory.limit_in_bytes")) for folder, v2 in folders]
    total = re.search(r"MemTotal:\s+([0-9]+) kB", _read(root / "proc/meminfo") or "")
    known = [int(limit) for limit in limits if limit and limit.isdecimal()]
    return min([*known, *([1024 * int(total[1])] if total else [])], default=None)


def share_heap() -> None:
    """Limit glibc's malloc to two arenas instead of its default of eight per core.

    Each arena keeps the peak of what its threads have allocated, and its free memory is not available to the others.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


def trim_heap() -> None:
    """Return free heap pages to the operating system (glibc's malloc_trim).

    Loading a graph frees its parsed form in pieces too small to be returned automatically: 200 MB at BGE-large size.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def trim_heap_soon() -> None:
    """Call `trim_heap` on another thread after SOON_S seconds, when the memory being released now is free."""
    timer = threading.Timer(SOON_S, trim_heap)
    timer.daemon = True
    with suppress(RuntimeError):  # no thread can be started
        timer.start()


def cpu_flags(root: Path = ROOT) -> list[str]:
    """Return those of NOTED_FLAGS that this CPU supports."""
    for line in (_read(root / "proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip().lower() in {"flags", "features"}:
            present = set(value.split())
            return [flag for flag in NOTED_FLAGS if flag in present]
    return []


def cpu_model(root: Path = ROOT) -> str:
    """Return the processor's name from /proc/cpuinfo, or the machine type where there is none (ARM)."""
    lines = (_read(root / "proc/cpuinfo") or "").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.machine()


def _cgroups(controller: str, v1_mounts: tuple[str, ...], root: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the folders of the process's cgroups that may limit `controller`, each with whether it is cgroup v2."""
    base = root / "sys/fs/cgroup"
    for line in (_read(root / "proc/self/cgroup") or "0::/").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from ((folder, True) for folder in _ancestors(base, path))
        elif controller in controllers.split(","):
            yield from ((folder, False) for mount in v1_mounts for folder in _ancestors(base / mount, path))


def _ancestors(mount: Path, path: str) -> list[Path]:
    # In a container the path is often the host's and does not exist; then the mount's root is the group itself.
    folder = mount / path.lstrip("/")
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(mount))]


def _v2_quota(folder: Path) -> float | None:
    limit, _, period = (_read(folder / "cpu.max") or "max").partition(" ")
    return None if limit == "max" else int(limit) / int(period)


def _v1_quota(folder: Path) -> float | None:
    limit, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
    return None if not limit or not period or int(limit) <= 0 else int(limit) / int(period)


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
