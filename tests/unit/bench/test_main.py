"""The commands end to end on a tiny model, with real workers. No timings are asserted."""

import json
from pathlib import Path

import pytest

from bench import catalog
from bench.__main__ import main
from tests.unit.bench.conftest import drawn
from tests.unit.server import tiny

pytestmark = pytest.mark.whole

SENTENCES = [f"the {first} {second} query" for first in tiny.WORDS[3:11] for second in tiny.WORDS[3:11]]


@pytest.fixture
def no_peers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nowhere = {name: tmp_path / name / "bin" / "python" for name in catalog.PYTHONS}
    monkeypatch.setattr(catalog, "PYTHONS", nowhere | {"runtime": catalog.PYTHONS["runtime"]})


def given(models_dir: Path, *more: str) -> list[str]:
    return ["--models-dir", str(models_dir), "--model", tiny.NAME, "--rounds", "2", "--threads", "1", *more]


def test_compare(models_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts, pairs = tmp_path / "texts.txt", tmp_path / "pairs.csv"
    texts.write_text("\n".join(SENTENCES), "utf-8")
    pairs.write_text("the cat sat,the dog sat,4\nthe cat,warm,1\nready,query,0\n", "utf-8")
    more = ["--texts", str(texts), "--pairs", str(pairs)]
    more += ["--json", str(tmp_path / "out.json"), "--chart", str(tmp_path / "out.svg")]
    assert main(["compare", *given(models_dir, *more)]) == 0
    said = capsys.readouterr().out
    assert "Size, start and resident memory" in said
    report = json.loads((tmp_path / "out.json").read_text())
    measured = report["variants"]["fp32"]
    assert measured["file_bytes"] == (models_dir / "tiny.onnx").stat().st_size
    assert len(measured["load_s"]) == 3
    assert [len(done) for done in measured["turns"].values()] == [2]
    assert measured["fidelity"]["overlap"] == 1.0
    assert -1 <= measured["spearman"] <= 1
    assert measured["resident_after_largest_batch"] > 1_000_000
    assert report["workloads"].keys() == {"1x16"}
    assert report["machine"]["cpu"]
    assert drawn((tmp_path / "out.svg").read_text()).tag.endswith("svg")


def test_compare_leaves_out_what_cannot_be_loaded(models_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = models_dir / "tiny.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert main(["compare", *given(models_dir)]) == 1
    said = capsys.readouterr()
    assert "skipped fp32: `load` failed: StartError" in said.err
    assert "SHA-256" in said.err
    assert said.out == ""


@pytest.mark.usefixtures("no_peers")
def test_run_goes_on_without_peers_and_says_why(
    models_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--workloads", "1x16,8x128", "--contenders", "fp32,torch-fp32", "--markdown"]
    more += ["--json", str(tmp_path / "out.json"), "--charts", str(tmp_path / "charts")]
    assert main(["run", *given(models_dir, *more)]) == 0
    said = capsys.readouterr()
    assert "| fp32 |" in said.out
    assert "left out: 8x128; the model reads at most 16 tokens" in said.err
    assert "skipped torch-fp32: the original weights are missing" in said.err
    assert "source: there is no build; `make build/ready` makes it" in said.err
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["contenders"].keys() == {"fp32"}
    assert report["peaks"].keys() == {"fp32", "int8"}
    assert [path.name for path in (tmp_path / "charts").iterdir()] == ["1x16.svg"]


def test_what_is_not_there_is_named(models_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--models-dir", str(models_dir), "--model", "nobody"]) == 1
    assert "nobody.json not found" in capsys.readouterr().err
    assert main(["compare", *given(models_dir, "--pairs", str(tmp_path / "none.csv"))]) == 1
    assert "none.csv cannot be read" in capsys.readouterr().err
    assert main(["run", *given(models_dir, "--contenders", "fp32,espresso")]) == 1
    assert "no contender is named espresso" in capsys.readouterr().err
    assert main(["run", *given(models_dir, "--workloads", "8x128")]) == 1
    assert "no workload is short enough" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong", [["--rounds", "0"], ["--threads", "-1"], ["--workloads", "2x2"], ["--workloads", ","]]
)
def test_a_wrong_argument_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", *wrong])
    assert wrong[0] in capsys.readouterr().err


def test_migrate(models_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--quantization", "fp32", "--texts", "60", "--json", str(tmp_path / "out.json")]
    assert main(["migrate", *given(models_dir, *more)]) == 0
    assert "migration to .npy" in capsys.readouterr().out
    report = json.loads((tmp_path / "out.json").read_text())
    assert (report["texts"], len(report["turns"])) == (60, 2)
    assert report["tokens"] == 60 * 8
    assert all(0 < turn["windows"] < turn["whole"] for turn in report["turns"])
    assert main(["migrate", *given(models_dir, "--quantization", "int8")]) == 1
    assert "tiny is built in fp32, not in int8" in capsys.readouterr().err
