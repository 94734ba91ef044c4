"""Verdicts of the GPU benchmark on synthetic figures."""

from dataclasses import replace

import pytest

from bench.fidelity import ContenderFidelity
from bench.gpu import batches
from bench.gpu.report import OURS, PEAK, TORCH, GpuReport
from bench.subject import BenchSubject

BGE = {"hidden_size": 1024, "num_hidden_layers": 24, "intermediate_size": 4096}
# A GPU of 500 TFLOP/s: the product of 8192³ takes 2.2 ms.
LIMIT = 5e14
PRODUCT = 2 * 8192**3


@pytest.fixture
def report(subject: BenchSubject) -> GpuReport:
    """Return a report: half the peak on every batch, three times torch, correct vectors, all nodes on the GPU."""
    loads = batches.make(subject.vocabulary, 512, "cuda")
    made = GpuReport(subject, {}, "cuda", "fp16", loads, BGE, {}, ContenderFidelity(1.0, 0.99995, 1.0), ready_s=9.0)
    made.notes = {OURS: {"nodes_on_cpu": 0, "report": ["graph nodes: 300"]}, PEAK: {"operations": PRODUCT}}
    for load in loads:
        seconds = batches.operations(load, BGE) / (LIMIT / 2)
        for name, took in ((OURS, seconds), (TORCH, 3 * seconds), (PEAK, PRODUCT / LIMIT)):
            made.turns.setdefault(name, {})[load.name] = [[took], [took]]
    return made


def test_shares_are_of_the_product_that_took_turns_with_the_batch(report: GpuReport) -> None:
    assert [report.share(load) for load in report.loads] == pytest.approx([0.5] * 3)
    assert [report.times_torch(load) for load in report.loads] == pytest.approx([3.0] * 3)


def test_what_is_good_enough_is_met(report: GpuReport) -> None:
    assert all(verdict.met for verdict in report.verdicts())
    assert report.sound()


def test_a_node_on_the_cpu_or_wrong_vectors_are_not_sound(report: GpuReport) -> None:
    report.notes[OURS]["nodes_on_cpu"] = 1
    assert not report.sound()
    report.notes[OURS]["nodes_on_cpu"] = 0
    assert not replace(report, fidelity=ContenderFidelity(1.0, 0.9998, 1.0)).sound()


def test_what_could_not_be_measured_is_not_met(report: GpuReport) -> None:
    del report.turns[TORCH]
    bare = replace(report, config={}, ready_s=0.0)
    assert {verdict.asked for verdict in bare.verdicts() if not verdict.met} == {
        "at least 45 % of the matrix rate, 128 texts of 512 tokens",
        "at least 45 % of the matrix rate, 256 texts of mixed length, 128 tokens on average",
        "at least 2 times torch, mixed",
        "ready within 15 s",
    }
    assert bare.sound()


def test_the_chart_sets_ours_beside_torch(report: GpuReport) -> None:
    drawn = report.chart()
    assert drawn.count(OURS) >= 3
    assert drawn.count(TORCH) == 3
