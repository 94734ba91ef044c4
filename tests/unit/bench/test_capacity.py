"""The plan's arithmetic, and the command end to end."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.__main__ import main
from bench.capacity import CorpusSize, Traffic, duration, hours, measured, servers
from tests.unit.bench.conftest import drawn

COMPARED = {"kind": "compare", "variants": {"int8": {"tokens_per_s": {"16-mixed": {"median": 1236.0}}}}}
RACED = {"kind": "run", "contenders": {"int8": {"workloads": {"16-mixed": {"tokens_per_s": {"median": 1548.0}}}}}}


def test_servers_by_hand() -> None:
    # 40 texts of 128 tokens are 5,120 tokens/s; 70 % of 1,000 is 700 a server: 7.3, so 8 and one spare.
    assert servers(Traffic(40, 128, 0.7, 1), 1000) == 9
    assert servers(Traffic(0.001, 1, 0.7, 0), 1000) == 1
    assert servers(Traffic(7, 100, 0.7, 0), 1000) == 1
    assert servers(Traffic(7.01, 100, 0.7, 0), 1000) == 2


@given(st.floats(0.01, 1e4), st.floats(1, 512), st.floats(0.05, 1), st.integers(0, 3), st.floats(10, 1e6))
def test_what_is_planned_suffices_and_one_less_does_not(
    texts_per_s: float, tokens: float, utilisation: float, spare: int, speed: float
) -> None:
    needed = servers(Traffic(texts_per_s, tokens, utilisation, spare), speed) - spare
    asked, each = texts_per_s * tokens, speed * utilisation
    assert needed >= 1
    assert needed * each >= asked * (1 - 1e-9)
    assert needed == 1 or (needed - 1) * each < asked * (1 + 1e-9)


def test_hours_fall_with_servers() -> None:
    corpus = CorpusSize(3_600_000, 100)
    assert hours(corpus, 1000, 1) == pytest.approx(100)
    assert hours(corpus, 1000, 8) == pytest.approx(12.5)


@pytest.mark.parametrize(("time_h", "said"), [(0.5, "30.0 min"), (12.5, "12.5 h"), (100, "4.2 days")])
def test_durations_are_said_as_people_say_them(time_h: float, said: str) -> None:
    assert duration(time_h) == said


def test_figures_are_read_from_both_reports() -> None:
    assert measured(COMPARED, "int8", "16-mixed") == 1236
    assert measured(RACED, "int8", "16-mixed") == 1548


def test_figures_that_are_not_there_are_named() -> None:
    with pytest.raises(ValueError, match="no figures for fp32: the file has int8"):
        measured(COMPARED, "fp32", "16-mixed")
    with pytest.raises(ValueError, match="no figures for 8x128: the file has 16-mixed"):
        measured(RACED, "int8", "8x128")
    with pytest.raises(ValueError, match="the file has none"):
        measured({}, "int8", "16-mixed")


def test_the_command_plans_from_a_file_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures, out, charts = tmp_path / "compare.json", tmp_path / "plan.json", tmp_path / "charts"
    figures.write_text(json.dumps(COMPARED), "utf-8")
    asked = ["--texts-per-s", "40", "--corpus-texts", "1e6", "--json", str(out), "--charts", str(charts)]
    assert main(["capacity", "--figures", str(figures), *asked]) == 0
    said = capsys.readouterr().out
    assert "one server: 1,236 tokens/s (compare.json: int8, 16-mixed)" in said
    assert "28.8 h" in said
    plan = json.loads(out.read_text())
    assert plan["traffic"]["servers"] == 7
    assert plan["corpus"]["hours"]["1"] == pytest.approx(1e6 * 256 / 1236 / 3600)
    assert {path.name for path in charts.iterdir()} == {"servers.svg", "hours.svg"}
    assert "7 at 40 texts/s" in "".join(drawn((charts / "servers.svg").read_text()).itertext())


@pytest.mark.parametrize("wrong", [["--utilisation", "1.5"], ["--tokens-per-text", "0"], ["--texts-per-s", "many"]])
def test_a_wrong_number_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["capacity", "--tokens-per-s", "1000", *wrong])
    assert wrong[0] in capsys.readouterr().err


def test_a_plan_of_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capacity", "--tokens-per-s", "1000"]) == 1
    assert "nothing to plan" in capsys.readouterr().err
