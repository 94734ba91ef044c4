"""Describe the host in a report."""

import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from server.system import machine

_BUSY_LOAD = 0.5
_PACKAGES = ("numpy", "onnxruntime", "tokenizers")


def describe(root: Path = machine.ROOT) -> dict[str, object]:
    """Return the processor, this process's share of it, and the versions of the numeric libraries.

    The load average shows whether the host was idle before the start; see `busy`.
    """
    allowed = sorted(os.sched_getaffinity(0))
    return {
        "cpu": machine.cpu_model(root),
        "logical_cpus": len(allowed),
        "physical_cores": machine.physical_cores(allowed, root),
        "cpu_quota": machine.cpu_quota(root),
        "flags": machine.cpu_flags(root),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load_average": list(os.getloadavg()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def busy(host: dict[str, object]) -> bool:
    """Return whether the 1-minute load average was at least 0.5 when the measurement began."""
    load = host["load_average"]
    return isinstance(load, list) and load[0] >= _BUSY_LOAD


def line(host: dict[str, object], threads: int) -> str:
    """Summarize the host in one line."""
    flags = host["flags"]
    known = f" ({', '.join(flags)})" if isinstance(flags, list) and flags else ""
    return f"{host['cpu']}{known}, {host['physical_cores']} cores, {threads} threads"
