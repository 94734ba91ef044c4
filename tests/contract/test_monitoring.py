"""The dashboard, the alerts and the documented metrics agree with the metrics of a real server."""

import json
import re
import shutil
import subprocess
from itertools import combinations

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from promql_parser import Expr, VectorSelector

from tests.serving import ROOT, Served, serve

Json = dict[str, object]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana.json").read_text("utf-8"))
ALERTS = yaml.safe_load((ROOT / "deploy" / "alerts.yaml").read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]] + [rule["expr"] for rule in RULES]
# Labels added by Prometheus when scraping.
SCRAPED = {"instance"}
KINDS = {"counter", "gauge", "histogram"}


@pytest.fixture(scope="module")
def scraped(int8: Served) -> str:
    """The metrics of a server that has answered one request and refused another."""
    int8.embed(["a text"])
    assert int8.client.post("/embed", json={"text": 7}).status_code == 422
    answer = int8.client.get("/metrics")
    assert answer.status_code == 200
    return answer.text


def series_of(scraped: str) -> dict[str, set[str]]:
    """Return the label names of every series by name."""
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(scraped):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    return labels


def selectors(node: Expr) -> list[VectorSelector]:
    """Return all vector selectors of a query."""
    visited: list[VectorSelector] = []

    def keep(node: Expr) -> bool:
        if isinstance(node, VectorSelector):
            visited.append(node)
        return True

    promql_parser.walk(node, keep)
    return visited


def _parsed(query: str) -> Expr:
    return promql_parser.parse(query.replace("$__rate_interval", "1m"))


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_is_promql_about_series_and_labels_that_exist(scraped: str, query: str) -> None:
    series = series_of(scraped)
    used = selectors(_parsed(query))
    assert used
    for selector in used:
        assert selector.name in series
        assert {matcher.name for matcher in selector.matchers.matchers} <= series[selector.name] | SCRAPED


def test_the_page_lists_every_metric_and_no_other(scraped: str) -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z_]+)` \| (\w+) \|([^|]*)\|", page, re.MULTILINE)
    listed = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows if kind in KINDS}
    told = {}
    for family in text_string_to_metric_families(scraped):
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        told[family.name + ("_total" if family.type == "counter" else "")] = (family.type, labels)
    assert listed == told


def test_the_dashboard_shows_every_metric_of_the_service(scraped: str) -> None:
    shown = {selector.name for query in QUERIES for selector in selectors(_parsed(query))}
    families = [family for family in text_string_to_metric_families(scraped) if family.name.startswith("embedding_")]
    assert [family.name for family in families if not shown & {sample.name for sample in family.samples}] == []


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_panel_says_what_it_shows_and_in_which_unit(panel: Json) -> None:
    assert panel["title"]
    assert str(panel["description"]).endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]  # type: ignore[index]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_the_dashboard_lies_on_grafana_s_grid_without_overlaps() -> None:
    assert DASHBOARD["schemaVersion"] >= 39
    boxes = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(box["x"] + box["w"] <= 24 for box in boxes)
    for one, other in combinations(boxes, 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_says_what_is_wrong_and_what_to_do(rule: Json) -> None:
    assert rule["labels"]["severity"] in {"warning", "critical"}  # type: ignore[index]
    assert rule["annotations"].keys() == {"summary", "description"}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "asked", ["check rules deploy/alerts.yaml", "check config --syntax-only deploy/prometheus.yml"]
)
def test_prometheus_itself_accepts_it(asked: str) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (apt-get install prometheus)")
    done = subprocess.run(["promtool", *asked.split()], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_answers_are_counted_whoever_gives_them() -> None:
    with serve(quantization="int8", api_key="hunter2", max_body_bytes=1000) as served:
        key = {"authorization": "Bearer hunter2"}
        served.client.post("/embed", json={"text": "a"})
        served.client.post("/embed", json={"text": "a" * 2000}, headers=key)
        served.client.get("/my/secret?token=secret", headers=key)
        served.client.put("/embed", headers=key)
        scraped = served.client.get("/metrics", headers=key).text
    counted = dict(
        re.findall(r"^embedding_requests_total\{code=\"(\d+)\",route=\"(\S+)\"\} 1.0$", scraped, re.MULTILINE)
    )
    assert counted == {"401": "/embed", "413": "/embed", "404": "other", "405": "/embed"}
    refused = set(re.findall(r"^embedding_refused_total\{reason=\"(\w+)\"\} 1.0$", scraped, re.MULTILINE))
    assert refused == {"unauthorized", "too_large", "not_found", "method_not_allowed"}
    assert "secret" not in scraped
    assert "hunter2" not in scraped
