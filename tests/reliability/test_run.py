"""Running evidence: a failure, crash or hang is reported as a result, and the run continues."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from tests.reliability import __main__ as command
from tests.reliability import results
from tests.reliability import run as runner
from tests.reliability.evidence import DEFAULT, LONG, SHORT, Checks, Evidence, Fuzz, Order, Scenario
from tests.reliability.outcome import BROKEN, KEPT, NOT_RUN, Outcome
from tests.reliability.results import Result
from tests.reliability.row import Row, once
from tests.serving import ROOT

# A test that passes on its own, and one that does not exist.
GOOD = once("tests/reliability/test_outcome.py::test_a_row_is_as_good_as_its_worst_evidence")
GONE = once("tests/reliability/test_outcome.py::test_of_old")


def python(program: str, *, bound_s: float = 30.0) -> Order:
    return Order((sys.executable, "-c", program), {"A": "b"}, Path("nowhere.xml"), bound_s)


def test_tests_are_run_and_rows_that_fail_do_not_stop_the_others() -> None:
    kept: list[dict[str, Result]] = []

    def keep(done: Mapping[str, Result]) -> None:
        kept.append(dict(done))

    rows = [Row("F1", "", (GONE,)), Row("F2", "", (GOOD,)), Row("F3", "", ()), Row("F4", "", (GOOD, GONE))]
    by_row = runner.run(rows, SHORT, 7, "2 cores", keep)
    assert {name: result.verdict for name, result in by_row.items()} == {
        "F1": BROKEN,
        "F2": KEPT,
        "F3": NOT_RUN,
        "F4": BROKEN,
    }
    assert by_row["F2"].figures == "1 of 1 runs passed"
    assert by_row["F2"].run == "short, seed 7"
    assert [list(one) for one in kept] == [["F1"], ["F1", "F2"], ["F1", "F2", "F3"], ["F1", "F2", "F3", "F4"]]


def test_evidence_that_rows_share_is_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Evidence] = []

    def show(evidence: Evidence, *_: object) -> Outcome:
        asked.append(evidence)
        return Outcome(KEPT, "well")

    monkeypatch.setattr(runner, "show", show)
    runner.run([Row("D1", "", (GOOD, GONE)), Row("D2", "", (GOOD,))], SHORT, 1, "", lambda _: None)
    assert asked == [GOOD, GONE]


def test_a_command_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_GRACE_S", 0.2)
    deaf = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (2, 15)]; "
    child = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {deaf + 'time.sleep(60)'!r}]); "
    program = f"{deaf}{child}open({str(tmp_path / 'pid')!r}, 'w').write(str(p.pid)); time.sleep(60)"
    status, _ = runner.execute(python(program, bound_s=2.0), str(tmp_path))
    assert status is None
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_command_gets_its_variables_a_folder_of_its_own_and_none_of_the_shell_s_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_CONNECTIONS", "1")
    status, said = runner.execute(python("import os; print(os.environ); raise SystemExit(3)"), str(tmp_path))
    assert status == 3
    assert "'A': 'b'" in said
    assert str(tmp_path) in said
    assert "MAX_CONNECTIONS" not in said


def test_an_environment_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = ROOT / ".venv-nothing" / "bin" / "python"
    monkeypatch.setattr("tests.reliability.evidence.python", lambda _: missing)
    assert runner.show(GOOD, SHORT, 1) == Outcome(NOT_RUN, "there is no .venv-nothing/bin/python: see `make help`")


@pytest.mark.parametrize("sizes", [SHORT, DEFAULT, LONG])
def test_every_kind_of_evidence_is_a_bounded_command_with_the_seed(sizes: object, tmp_path: Path) -> None:
    given = next(one for one in (SHORT, DEFAULT, LONG) if one is sizes)
    tests = Checks(("a.py",), seeded=True).order(given, 7, tmp_path)
    assert tests.variables["FAULT_RUNS"] == str(given.runs)
    assert Checks(("a.py",)).order(given, 7, tmp_path).variables["FAULT_RUNS"] == "1"
    assert tests.variables["FAULT_SEED"] == "7"
    fuzz = Fuzz("bodies").order(given, 7, tmp_path)
    assert fuzz.command[-2:] == ("--seed", "7")
    brief = Scenario("impatient", brief=True).order(given, 7, tmp_path)
    assert ("--short" in brief.command) is (given is not LONG)
    soak = Scenario("soak").order(given, 7, tmp_path)
    assert soak.bound_s > 60 * given.minutes["soak"]
    assert min(order.bound_s for order in (tests, fuzz, soak)) > 60


def test_a_run_is_as_long_as_asked() -> None:
    def sizes(*flags: str) -> object:
        return command.chosen_sizes(command.parser().parse_args(flags))

    assert sizes() == DEFAULT
    assert sizes("--long") == LONG
    soak = command.chosen_sizes(command.parser().parse_args(["--long", "--soak", "24h", "--runs", "5"]))
    assert (soak.minutes["soak"], soak.minutes["steady"], soak.runs) == (1440, LONG.minutes["steady"], 5)
    assert soak.name == "long, soak 1440 min"


def test_rows_and_parts_are_chosen_and_others_refused(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = command.parser().parse_args(["--only", "f3,L"]).only
    assert [row.id for row in chosen] == ["L1", "L2", "L3", "L4", "L5", "L6", "L7", "L8", "F3"]
    with pytest.raises(SystemExit):
        command.parser().parse_args(["--only", "F3,X9"])
    assert "choose from L1, L2" in capsys.readouterr().err


def test_rows_that_are_not_run_keep_their_last_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "results.json"
    old = Result(KEPT, "20 of 20", "long, seed 3", "64 cores", 9)
    results.save(file, {"F10": old, "F3": old, "F4": old})

    def show(evidence: Evidence, *_: object) -> Outcome:
        return Outcome(BROKEN if "hang" in str(evidence) else KEPT, "said")

    monkeypatch.setattr(runner, "show", show)
    assert command.main(["--only", "F3,F4", "--results", str(file), "--seed", "2"]) == 1
    saved = results.load(file)
    assert list(saved) == ["F3", "F4", "F10"]
    assert saved["F10"] == old
    assert (saved["F3"].verdict, saved["F3"].run, saved["F4"].verdict) == (BROKEN, "default, seed 2", KEPT)
    assert "1 of 2 kept: not F3" in capsys.readouterr().out
    before = file.read_bytes()
    assert command.main(["--only", "F4", "--results", str(file), "--short"]) == 0
    assert file.read_bytes() == before
