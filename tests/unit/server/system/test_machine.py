import resource
import subprocess
import sys
from pathlib import Path

import pytest

from server.system import machine
from tests.serving import ROOT


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def siblings(cpu: int, text: str) -> dict[str, str]:
    return {f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list": text}


FOUR_CORES = siblings(0, "0,4") | siblings(4, "0,4") | siblings(1, "1,5") | siblings(5, "1,5")


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/b/cpu.max": "max 100000"}, None),
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/b/cpu.max": "150000 100000"}, 1.5),
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/cpu.max": "50000 100000"}, 0.5),
        ({"proc/self/cgroup": "0::/the/hosts/path", "sys/fs/cgroup/cpu.max": "200000 100000"}, 2.0),
        (
            {
                "proc/self/cgroup": "5:cpuacct,cpu:/docker/x\n4:memory:/docker/x",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "400000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            4.0,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            None,
        ),
    ],
)
def test_the_tightest_quota_is_found_in_cgroups_v1_and_v2(tmp_path: Path, files: dict[str, str], quota: float) -> None:
    assert machine.cpu_quota(write(tmp_path, files)) == quota


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, None),
        ({"proc/meminfo": "MemTotal:       2048 kB\nMemFree: 1 kB"}, 2 << 20),
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/b/memory.max": "max"}, None),
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/memory.max": "1000", "proc/meminfo": "MemTotal: 9 kB"}, 1000),
        ({"proc/self/cgroup": "4:memory:/docker/x", "sys/fs/cgroup/memory/memory.limit_in_bytes": "3000"}, 3000),
    ],
)
def test_the_tightest_memory_limit_is_found(tmp_path: Path, files: dict[str, str], limit: int | None) -> None:
    assert machine.memory_limit(write(tmp_path, files)) == limit


def test_hyper_threads_of_one_core_count_once(tmp_path: Path) -> None:
    threads = machine.inference_threads(None, [0, 1, 4, 5], write(tmp_path, FOUR_CORES))
    assert threads.count == 2
    assert threads.reason == "2 physical cores among the 4 logical CPUs allowed"


@pytest.mark.parametrize(("quota", "count"), [("50000", 1), ("199000", 1), ("300000", 2)])
def test_a_quota_below_the_cores_wins(tmp_path: Path, quota: str, count: int) -> None:
    root = write(tmp_path, FOUR_CORES | {"sys/fs/cgroup/cpu.max": f"{quota} 100000"})
    assert machine.inference_threads(None, [0, 1, 4, 5], root).count == count


def test_a_machine_that_tells_nothing_counts_logical_cpus(tmp_path: Path) -> None:
    assert machine.inference_threads(None, [0, 3], tmp_path).count == 2
    assert machine.resident_bytes(tmp_path) is None
    assert machine.cpu_flags(tmp_path) == []


def test_the_setting_wins(tmp_path: Path) -> None:
    assert machine.inference_threads(7, [0], tmp_path) == machine.Threads(7, "set by THREADS")


def test_cpu_flags_are_read_on_x86_and_arm(tmp_path: Path) -> None:
    assert machine.cpu_flags(write(tmp_path / "x86", {"proc/cpuinfo": "flags\t: fpu avx2 avx512_vnni"})) == [
        "avx2",
        "avx512_vnni",
    ]
    assert machine.cpu_flags(write(tmp_path / "arm", {"proc/cpuinfo": "Features\t: fp i8mm"})) == ["i8mm"]


def test_this_process_has_memory() -> None:
    assert (machine.resident_bytes() or 0) > 1_000_000


def test_what_the_process_holds_and_may_hold_is_told(tmp_path: Path) -> None:
    held = machine.held_memory()
    assert 10**6 < held.resident < held.virtual
    assert machine.held_memory(tmp_path) == machine.HeldMemory(0, 0)
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    assert machine.address_space_limit() == (None if soft == resource.RLIM_INFINITY else soft)


def test_the_heap_is_shared_and_trimmed_where_the_c_library_can() -> None:
    program = "from server.system import machine\nmachine.share_heap()\nmachine.trim_heap_soon()\nprint('well')"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "well\n"


def test_the_processor_is_named(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Fast 9000\nmodel name\t: Fast 9000\n")
    assert machine.cpu_model(tmp_path) == "Fast 9000"


def test_a_processor_without_a_name_is_named_by_its_kind(tmp_path: Path) -> None:
    assert machine.cpu_model(tmp_path)
