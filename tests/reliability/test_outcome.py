"""Results are turned into the right verdicts, failures included."""

import json
from pathlib import Path

import pytest

from tests.reliability.outcome import BROKEN, KEPT, NOT_RUN, Outcome, of_fuzz, of_load, of_tests, read, together

GOOD, SKIPPED = '<testcase name="a"/>', '<testcase name="a"><skipped message="no libfaketime"/></testcase>'
FAILED, CRASHED = '<testcase name="b"><failure/></testcase>', '<testcase name="b"><error/></testcase>'


def junit(*cases: str) -> str:
    return f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>"


def load(*met: bool) -> str:
    verdicts = [{"asked": "p99", "found": "2 times", "met": one} for one in met]
    return json.dumps({"scenarios": {"steady": {"verdicts": verdicts}}, "skipped": {}})


@pytest.mark.parametrize(
    ("cases", "verdict"),
    [
        ((GOOD, GOOD), KEPT),
        ((GOOD, SKIPPED), KEPT),
        ((SKIPPED,), NOT_RUN),
        ((GOOD, FAILED), BROKEN),
        ((SKIPPED, FAILED), BROKEN),
        ((GOOD, CRASHED), BROKEN),
        ((), BROKEN),
    ],
)
def test_one_failure_breaks_a_promise_and_skips_show_nothing(cases: tuple[str, ...], verdict: str) -> None:
    assert of_tests(junit(*cases)).verdict == verdict


def test_the_figures_of_tests_name_what_failed_why_others_were_skipped_and_what_was_measured() -> None:
    said = '<testcase name="c"><properties><property name="figures" value="12 cases"/></properties></testcase>'
    figures = of_tests(junit(GOOD, SKIPPED, FAILED, said, said)).figures
    assert figures == "2 of 5 runs passed; 1 skipped: no libfaketime; failed: b; 12 cases".replace("2 of", "3 of")


def test_every_verdict_of_a_load_must_be_met() -> None:
    assert of_load(load(True, True)) == Outcome(KEPT, "p99: 2 times; p99: 2 times")
    assert of_load(load(True, False)) == Outcome(BROKEN, "p99: 2 times; p99: 2 times (**not met**)")
    assert of_load(load()).verdict == BROKEN


def test_a_load_that_could_not_be_measured_breaks_a_promise_with_the_reason() -> None:
    outcome = of_load(json.dumps({"scenarios": {}, "skipped": {"steady": "server: ended with status 3"}}))
    assert outcome == Outcome(BROKEN, "steady: server: ended with status 3")


def test_the_fuzzer_must_end_well_and_say_how_much_it_did() -> None:
    assert of_fuzz("x\nDone 1234 runs in 60 second(s)\n", 0).figures.startswith("1,234 inputs in 60 s")
    assert of_fuzz("Done 1234 runs in 60 second(s)\n", 77).verdict == BROKEN
    assert of_fuzz("KeyError: 'text'", 0) == Outcome(BROKEN, "exit status 0: KeyError: 'text'")


@pytest.mark.parametrize("name", ["tests.xml", "load.json"])
def test_without_whole_results_a_promise_is_broken(tmp_path: Path, name: str) -> None:
    for text in (None, "", "<testsuites>", '{"scenarios": {'):
        if text is not None:
            (tmp_path / name).write_text(text)
        outcome = read(tmp_path / name, 2, "first\nout of memory\n")
        assert outcome == Outcome(BROKEN, "no results, exit status 2: out of memory")


def test_a_row_is_as_good_as_its_worst_evidence() -> None:
    kept, broken, missing = Outcome(KEPT, "a"), Outcome(BROKEN, "b"), Outcome(NOT_RUN, "c")
    assert together([kept, kept]) == Outcome(KEPT, "a; a")
    assert together([kept, missing]) == Outcome(NOT_RUN, "a; c")
    assert together([missing, broken, kept]).verdict == BROKEN
    assert together([]).verdict == NOT_RUN
