import json

import pytest

from bench.catalog import PEERS, ours
from bench.contenders.peak import OPERATIONS
from bench.ranking import Ranking, Standing
from bench.rounds import Turns
from bench.subject import BenchSubject
from bench.workloads import Workload
from tests.unit.bench.conftest import drawn

HOST: dict[str, object] = {"cpu": "Fast 9000", "flags": ["avx2"], "physical_cores": 2, "load_average": [0, 0, 0]}
WORKLOADS = [Workload("1x4", "1 text of 4 tokens", ((1, 2, 3, 4),)), Workload("2x1", "2 texts of 1", ((1,), (2,)))]


@pytest.fixture
def ranking(subject: BenchSubject) -> Ranking:
    torch = Standing(
        PEERS[0], 1.5, 300_000_000, 400_000_000, 1.0, {"torch": "2"}, {}, {"1x4": [[2.0], [4.0]], "2x1": [[1.0]]}
    )
    int8 = Standing(ours(["int8"])[0], 0.5, 100_000_000, None, 0.99, {"onnxruntime": "1"}, {}, {"1x4": [[0.5], [1.0]]})
    peaks: dict[str, dict[str, Turns]] = {"fp32": {"1x4": [[1e-3]]}, "int8": {"1x4": [[9e-4, 5e-4]], "2x1": [[7e-4]]}}
    standings = {"torch-fp32": torch, "int8": int8}
    return Ranking(subject, HOST, WORKLOADS, standings, {"openvino-int8": "no such module"}, peaks, OPERATIONS)


def test_the_share_is_the_models_operations_over_the_machines(ranking: Ranking) -> None:
    # 6 tokens/s, each worth one large product, against a peak of 2,000 products a second.
    assert ranking.share(ranking.standings["int8"], WORKLOADS[0]) == pytest.approx(6 / 2000)
    assert ranking.share(ranking.standings["torch-fp32"], WORKLOADS[0]) == pytest.approx(1.5 / 1000)


def test_a_figure_that_was_not_measured_is_absent(ranking: Ranking) -> None:
    assert ranking.share(ranking.standings["int8"], WORKLOADS[1]) is None
    assert ranking.speedup(ranking.standings["int8"], WORKLOADS[1]) is None
    ranking.operations = None
    assert ranking.share(ranking.standings["int8"], WORKLOADS[0]) is None


def test_speedups_are_to_whom_was_asked_for_and_to_the_first_where_that_did_not_run(ranking: Ranking) -> None:
    assert ranking.speedup(ranking.standings["int8"], WORKLOADS[0]) == 4.0
    ranking.against = "int8"
    assert ranking.speedup(ranking.standings["torch-fp32"], WORKLOADS[0]) == 0.25
    ranking.against = "torch-fp32"
    del ranking.standings["torch-fp32"]
    assert ranking.baseline == "int8"


def test_tables_have_a_row_for_each_contender(ranking: Ranking) -> None:
    median, least_greatest, times, share, roster = ranking.tables()
    assert [row[0] for row in median.rows] == ["torch-fp32", "int8"]
    assert median.rows[1][1:] == ["6", "–"]
    assert least_greatest.rows[1][1:] == ["4–8", "–"]
    assert times.rows[1][1:] == ["4.00", "–"]
    assert share.rows[1][1:] == ["0%", "–"]
    assert roster.rows[1] == ["int8", "0.5", "100", "–", "0.99000", "onnxruntime 1"]
    assert "Fast 9000 (avx2), 2 cores, 1 threads" in ranking.heading()


def test_json_holds_raw_figures_and_those_who_were_skipped(ranking: Ranking) -> None:
    report = json.loads(json.dumps(ranking.json()))
    assert report["contenders"]["int8"]["workloads"]["1x4"]["raw_seconds"] == [[0.5], [1.0]]
    assert report["contenders"]["int8"]["workloads"]["1x4"]["tokens_per_s"] == {"median": 6, "low": 4, "high": 8}
    assert report["peaks"]["int8"]["operations_per_s"] == OPERATIONS / 5e-4
    assert report["peaks"]["int8"]["raw_seconds"] == {"1x4": [[9e-4, 5e-4]], "2x1": [[7e-4]]}
    assert report["skipped"] == {"openvino-int8": "no such module"}
    assert report["model"] == "tiny"


def test_there_is_a_chart_for_each_workload(ranking: Ranking) -> None:
    charts = ranking.charts()
    assert list(charts) == ["1x4", "2x1"]
    assert all(drawn(svg).tag.endswith("svg") for svg in charts.values())
