import importlib.util
import sys
from pathlib import Path

import pytest

from bench import catalog
from bench.catalog import PEAKS, PEERS, SOURCE
from bench.process import ROOT


def test_every_contender_has_its_module() -> None:
    entries = (*catalog.ours(["int8"]), *PEERS, *PEAKS, SOURCE)
    assert all(importlib.util.find_spec(entry.module) for entry in entries)
    assert len({entry.name for entry in entries}) == len(entries)


@pytest.mark.parametrize(("precision", "limit"), [("fp32", "fp32"), ("fp16", "fp32"), ("int8-static", "int8")])
def test_a_precision_is_measured_against_its_own_limit(precision: str, limit: str) -> None:
    (entry,) = catalog.ours([precision])
    assert (entry.limit, entry.ours) == (limit, True)


def test_a_missing_environment_is_named_with_what_makes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    peer = next(entry for entry in PEERS if entry.environment == "bench")
    monkeypatch.setitem(catalog.PYTHONS, "bench", tmp_path / ".venv-bench" / "bin" / "python")
    assert catalog.missing(peer) == f"{peer.name}: there is no .venv-bench; `make .venv-bench/ready` makes it"
    assert catalog.missing(catalog.ours(["fp32"])[0]) == ""


def test_the_runtime_is_this_python_and_the_others_lie_beside_the_sources() -> None:
    assert catalog.PYTHONS["runtime"] == Path(sys.executable)
    assert catalog.PYTHONS["build"].is_relative_to(ROOT)
