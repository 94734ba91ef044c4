"""The rows are complete, their evidence exists, and the page agrees with the results."""

import ast
import re

import pytest

from bench.load import report
from tests.fuzz.targets import TARGETS
from tests.reliability import page, results
from tests.reliability.evidence import Checks, Fuzz, Scenario
from tests.reliability.outcome import BROKEN, KEPT
from tests.reliability.results import Result
from tests.reliability.row import Row, once
from tests.reliability.rows import PARTS, ROWS
from tests.serving import ROOT

EVIDENCE = {evidence for row in ROWS for evidence in row.evidence}
ASKED = {"L": 8, "F": 22, "B": 12, "C": 4, "D": 15}
# Not randomized, since it sends the largest possible requests.
UNSEEDED = {"F13"}


def test_every_row_that_was_asked_for_is_there_once_in_order() -> None:
    assert [row.id for row in ROWS] == [f"{part}{number + 1}" for part in PARTS for number in range(ASKED[part])]
    assert all(row.promise for row in ROWS)
    assert all(row.evidence for row in ROWS)


CHECKS = [one for one in EVIDENCE if isinstance(one, Checks)]
# The folders whose tests other environments run, as in the Makefile.
ELSEWHERE = {"tests/clients": "clients", "tests/migrate": "stores"}


@pytest.mark.parametrize("node", sorted({node for one in CHECKS for node in one.nodes}))
def test_every_test_that_a_row_names_is_there(node: str) -> None:
    path, _, name = node.partition("::")
    assert (ROOT / path).exists()
    if name:
        body = ast.parse((ROOT / path).read_text("utf-8")).body
        assert name in {part.name for part in body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_row_s_tests_run_in_the_environment_that_make_runs_them_in() -> None:
    for one in CHECKS:
        folders = {"/".join(node.split("/")[:2]) for node in one.nodes}
        assert {ELSEWHERE.get(folder, "") for folder in folders} == {one.environment}, one.nodes


def test_every_load_and_target_that_a_row_names_is_there() -> None:
    assert {one.name for one in EVIDENCE if isinstance(one, Scenario)} <= set(report.NAMES)
    assert {one.target for one in EVIDENCE if isinstance(one, Fuzz)} == set(TARGETS)


def test_faults_are_run_with_many_seeds() -> None:
    seeded = {row.id for row in ROWS if any(isinstance(one, Checks) and one.seeded for one in row.evidence)}
    assert {f"F{number}" for number in range(1, 21)} - seeded == UNSEEDED


def test_the_page_s_tables_are_those_of_the_last_results() -> None:
    text = page.PAGE.read_text("utf-8")
    shown = text[text.index(page.BEGIN) : text.index(page.END) + len(page.END)]
    assert shown == page.tables(ROWS, results.load(results.FILE)), "write them: python -m tests.reliability.page"


def test_a_table_names_promise_evidence_figures_and_the_run_that_gave_them() -> None:
    rows = [Row("L1", "all answered", (Scenario("steady"), once("tests/a.py::test_b"))), Row("D2", "no row lost", ())]
    laid = page.tables(rows, {"L1": Result(BROKEN, "3 not", "long, seed 5", "2 cores", 9)})
    assert (
        '| L1 | all answered | `make load LOAD_ARGS="--scenarios steady"`<br>`tests/a.py::test_b` '
        "| **not kept**: 3 not (long, seed 5; 2 cores) |" in laid
    )
    assert "| D2 | no row lost |  | **not run**: not yet run |" in laid
    assert f"### {PARTS['L']}" in laid


def test_no_result_is_of_a_row_that_is_gone() -> None:
    known = results.load(results.FILE)
    assert set(known) <= {row.id for row in ROWS}
    assert all(re.fullmatch(r"(default|long).*, seed \d+", result.run) for result in known.values())
    assert {result.verdict for result in known.values()} <= {KEPT, BROKEN, "not run"}
