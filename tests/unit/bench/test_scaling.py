import json
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.scaling import curve
from tests.unit.server import tiny


def test_the_curve_ends_with_a_stream_for_each_thread() -> None:
    assert [curve(threads) for threads in (1, 2, 6, 8)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8]]


def test_every_number_of_streams_is_measured_and_the_server_s_is_marked(
    models_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["run", "--scaling", "--quantization", "fp32", "--models-dir", str(models_dir), "--model", tiny.NAME]
    assert main([*given, "--threads", "3", "--json", str(tmp_path / "curve.json")]) == 0
    written = json.loads((tmp_path / "curve.json").read_text())
    assert {1, 2, 3} <= {trial["streams"] for trial in written["streams"]}
    assert written["auto"] in {trial["streams"] for trial in written["streams"]}
    assert f"{written['auto']} (STREAMS=auto)" in capsys.readouterr().out


def test_a_precision_that_is_not_built_is_refused(models_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["run", "--scaling", "--quantization", "int8", "--models-dir", str(models_dir), "--model", tiny.NAME]
    assert main(given) == 1
    assert "tiny is built in fp32, not in int8" in capsys.readouterr().err
