import json
from pathlib import Path

import pytest

from server.migrate import __main__ as command
from server.migrate.__main__ import main
from server.model.manifest import QualityVerdict
from tests.unit.server import tiny
from tests.unit.server.migrate.jobs import write_input


@pytest.fixture
def environment(environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a command whose working directory has `texts.json`."""
    monkeypatch.chdir(tmp_path)
    write_input(Path("texts.json"), ["a"])
    return environ


@pytest.fixture
def environ(models_dir: Path) -> dict[str, str]:
    return {"MODEL": tiny.NAME, "MODELS_DIR": str(models_dir), "DEVICE": "cpu", "THREADS": "1"}


def test_a_job_ends_with_a_summary(environ: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_input(tmp_path / "texts.json", ["a", "cat"])
    arguments = ["--input", str(source), "--output", str(tmp_path / "out.npy")]
    assert main(arguments, environ) == 0
    assert "2 records in: 2 embedded as 2 rows, 0 rejected" in capsys.readouterr().out
    assert main([*arguments, "--json"], environ) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["rows"] == 2


def test_the_precision_of_a_verdict_alone_is_said_to_be_that(
    environment: dict[str, str], models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = QualityVerdict("fp32", "float16", 6, 0.05, "agreement", 0.0, 0.01, 160, 80)
    tiny.write_manifest(models_dir, changes={"chosen": found})
    chosen = ["--input", "texts.json", "--quantization", "chosen", "--output"]
    assert main([*chosen, "whole.npy"], environment) == 0
    assert "add --output-dtype float16 --dimensions 6" in capsys.readouterr().err
    assert main([*chosen, "cut.npy", "--output-dtype", "float16", "--dimensions", "6"], environment) == 0
    assert "make choose" not in capsys.readouterr().err


def test_a_dry_run_says_what_it_would_take(
    environ: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_input(tmp_path / "texts.json", ["a", "cat"])
    assert main(["--input", str(source), "--dry-run"], environ) == 0
    assert "2 records" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "changes", "said"),
    [
        (["--output", "o.npy", "--input", "missing.json"], {}, "missing.json: no such file"),
        (["--output", "o.npy", "--input", "-"], {}, "standard input"),
        (["--output", "o.npy"], {}, "--input"),
        (["--output", "o.npy", "--input", "texts.json"], {"THREADS": "0"}, "THREADS='0'"),
        (["--output", "o.npy", "--input", "texts.json"], {"MODEL": "other"}, "make build-models MODEL=other"),
        (["--output", "o.npy", "--input", "texts.json", "--quantization", "int8"], {}, "not built in int8"),
        (["--output", "o.npy", "--input", "texts.json", "--prompt-name", "x"], {}, "prompt_name"),
        (["--output", "o.npy", "--input", "texts.json", "--dimensions", "9"], {}, "dimensions must be from 1 to 8"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line_and_status_1(
    environment: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    changes: dict[str, str],
    said: str,
) -> None:
    assert main(flags, {**environment, **changes}) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if said in line]
    assert line.startswith("migrate: ")


def test_an_interrupt_says_how_to_go_on(
    environ: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "migrate", interrupted)
    source = write_input(tmp_path / "texts.json", ["a"])
    assert main(["--input", str(source), "--output", str(tmp_path / "out.npy")], environ) == 130
    assert "run the same command again" in capsys.readouterr().err


def test_a_full_disk_is_named(
    environ: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "out.npy.partial")

    monkeypatch.setattr(command, "migrate", full)
    source = write_input(tmp_path / "texts.json", ["a"])
    assert main(["--input", str(source), "--output", str(tmp_path / "out.npy")], environ) == 1
    assert "out.npy.partial: No space left on device. Nothing is lost" in capsys.readouterr().err


def test_what_to_compare_with_is_looked_at_before_the_work(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--input", "texts.json", "--output", "new.npy"]
    assert main([*arguments, "--compare-with", "missing.npy"], environment) == 1
    assert "missing.npy cannot be compared" in capsys.readouterr().err
    assert not Path("new.npy").exists()


def test_a_summary_says_where_rejects_are(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    write_input(Path("some.json"), ["a", None])
    assert main(["--input", "some.json", "--output", "some.npy", "--on-error", "skip"], environment) == 0
    assert "some.npy.migrate/rejects.jsonl" in capsys.readouterr().out
