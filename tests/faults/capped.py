"""Runs a server in its own memory cgroup, as in a container, if this machine allows creating one."""

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.serving import Served, serve

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
# A fixed batch size, because the measured one, and its memory, would differ from start to start.
SETTINGS: dict[str, object] = {"quantization": "int8", "threads": 1, "max_batch_tokens": 512}
JOIN = """
import os
with open({procs!r}, "w") as procs:
    procs.write(str(os.getpid()))
from server.__main__ import main
raise SystemExit(main([]))
"""


@dataclass
class Capped:
    """A server under a memory limit in bytes."""

    served: Served
    limit: int

    @property
    def peak_bytes(self) -> int:
        """Peak resident memory."""
        status = Path(f"/proc/{self.served.process.pid}/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return 1024 * int(peak.split()[1])

    @property
    def resident_bytes(self) -> int:
        """Current resident memory."""
        return int(psutil.Process(self.served.process.pid).memory_info().rss)


@contextmanager
def capped(limit_mb: int, **settings: object) -> Iterator[Capped]:
    """Serve under a limit enforced by a cgroup, or by the server itself (MEMORY_MB) if none can be created."""
    limit = limit_mb * 2**20
    group = _group(limit)
    try:
        program = ("-c", JOIN.format(procs=str(group / "cgroup.procs"))) if group else ()
        own = {} if group else {"memory_mb": limit_mb}
        with serve(*program, **SETTINGS | own | settings) as served:
            yield Capped(served, limit)
            assert served.process.poll() is None, f"the server ended with {served.process.returncode}"
    finally:
        if group:
            _remove(group)


def _group(limit: int) -> Path | None:
    name = f"test-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    for root, file in ((V1, "memory.limit_in_bytes"), (V2, "memory.max")):
        group = root / name
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / file).write_text(str(limit))
        except OSError:
            group.rmdir()
            continue
        return group
    return None


def _remove(group: Path) -> None:
    for _ in range(100):
        try:
            group.rmdir()
        except OSError:  # The kernel is still removing the process.
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"{group} could not be removed")
