"""The command, with a real model and the processes that it starts."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from server.choose import computing
from server.choose.__main__ import main
from server.choose.asked import budget
from server.choose.subject import open_subject
from server.choose.work_folder import CHART, REPORT, STATE
from server.errors import StartError
from server.inference import device
from server.model import space
from server.model.artifact import read_manifest
from server.model.manifest import Manifest, QualityVerdict, encode
from server.service.startup import load
from server.settings import resolve
from tests.serving import ROOT
from tests.unit.server import tiny
from tests.unit.server.choose.inputs import different, write_lines

FLAGS = ("--budget", "5%")


@pytest.fixture
def environ(models_dir: Path) -> dict[str, str]:
    tiny.write_manifest(models_dir, changes={"int8_ranges": [1.0] * tiny.DIMENSION})
    return {"MODEL": tiny.NAME, "MODELS_DIR": str(models_dir), "DEVICE": "cpu", "THREADS": "1"}


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "texts.jsonl", different(240))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "work"


def choose(texts: Path, folder: Path, environ: dict[str, str], *flags: str) -> int:
    return main(["--texts", str(texts), "--folder", str(folder), *(flags or FLAGS)], environ)


def chosen(environ: dict[str, str]) -> QualityVerdict | None:
    verdict = manifest(environ).chosen
    return None if verdict is msgspec.UNSET else verdict


def manifest(environ: dict[str, str]) -> Manifest:
    return read_manifest(Path(environ["MODELS_DIR"]), tiny.NAME)


def test_a_choice_is_written_served_and_replaced(
    texts: Path, folder: Path, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = manifest(environ)
    with pytest.raises(StartError, match="make choose MODEL=tiny"):
        load(resolve({**environ, "QUANTIZATION": "chosen"}))
    assert choose(texts, folder, environ) == 0
    verdict = chosen(environ)
    assert verdict
    assert (verdict.precision, verdict.output_dtype, verdict.dimensions) == ("fp32", "int8", tiny.DIMENSION)
    assert (verdict.texts, verdict.queries, verdict.budget, verdict.measure) == (160, 80, 0.05, "agreement")
    assert 0 <= verdict.loss < verdict.loss_at_most <= 0.05
    after = manifest(environ)
    assert space.of_variants(after) == space.of_variants(before)
    assert msgspec.structs.replace(after, chosen=msgspec.UNSET) == before
    said = capsys.readouterr().out
    assert "chosen: fp32, int8, 8 dimensions" in said
    report = json.loads((folder / REPORT).read_text("utf-8"))
    assert report["chosen"]["output"] == "int8"
    assert len(report["precisions"]["fp32"]["texts_per_s"]) == computing.TEXT_ROUNDS
    assert (folder / CHART).read_text("utf-8").startswith("<svg")
    served = load(resolve({**environ, "QUANTIZATION": "chosen"}))
    assert served.choice.precision == "fp32"
    assert "make choose" in served.choice.precision_reason
    # Another budget needs no computing: the vectors are still there, and the old verdict is named.
    assert choose(texts, folder, environ, "--budget", "90%", "--measure", "kept@100") == 0
    again = capsys.readouterr()
    assert "vectors of an earlier run are used" in again.err
    assert "instead of fp32, int8, 8 dimensions" in again.out
    assert "texts/s," not in again.err
    # A verdict that a stricter budget does not replace is still served.
    assert choose(texts, folder, environ, "--budget", "0.001%") == 1
    strict = capsys.readouterr()
    assert "still serves an earlier verdict, fp32" in strict.out
    assert "So few queries leave" in strict.err
    # Vectors that are cut short are computed again, and speeds of other settings are not shown as this one's.
    os.truncate(folder / "fp32.f32", 100)
    assert choose(texts, folder, environ) == 0
    assert "vectors of an earlier run" not in capsys.readouterr().err
    assert choose(texts, folder, {**environ, "THREADS": "2"}) == 0
    assert "vectors of an earlier run" not in capsys.readouterr().err


def test_relevance_is_the_measure_where_it_is_given(tmp_path: Path, folder: Path, environ: dict[str, str]) -> None:
    words = different(260)
    texts = write_lines(tmp_path / "texts.jsonl", [{"id": place, "text": text} for place, text in enumerate(words)])
    queries = write_lines(
        tmp_path / "queries.jsonl", [{"id": f"q{place}", "text": words[place]} for place in range(0, 120, 2)]
    )
    qrels = tmp_path / "qrels.tsv"
    qrels.write_text("query-id\tcorpus-id\tscore\n" + "".join(f"q{n}\t{n}\t1\n" for n in range(0, 120, 2)), "utf-8")
    status = choose(texts, folder, environ, "--queries", str(queries), "--qrels", str(qrels), "--budget", "99%")
    assert status == 0
    verdict = chosen(environ)
    assert verdict
    assert verdict.measure == "nDCG@10"
    report = json.loads((folder / REPORT).read_text("utf-8"))
    assert {"nDCG@10", "recall@100", "kept@10", "kept@100", "agreement"} == set(report["reference"])


def test_a_precision_that_is_built_for_cuda_alone_is_compared_there(
    environ: dict[str, str], models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = manifest(environ)
    for_cuda = msgspec.structs.replace(plain.variants["fp32"], precision="fp16", device="cuda")
    variants = {**plain.variants, "fp16-cuda": for_cuda}
    found = QualityVerdict("fp16", "int8", tiny.DIMENSION, 0.05, "agreement", 0.0, 0.01, 160, 80)
    changed = msgspec.structs.replace(plain, variants=variants, chosen=found)
    (models_dir / "tiny.json").write_bytes(encode(changed))
    assert chosen(environ) == found
    on_cpu = open_subject(resolve(environ))
    assert on_cpu.precisions == ["fp32"]
    assert "fp16 is not compared" in on_cpu.notes[0]
    assert on_cpu.notes[1] == "int8 is not compared: the model was not built in it"
    monkeypatch.setattr(device, "detect", lambda _, precision: device.Choice("cuda", "", precision, ""))
    on_gpu = open_subject(resolve(environ))
    assert on_gpu.served["fp16"].variant == for_cuda
    assert [*on_gpu.identities()] != [*on_cpu.identities()]


def test_a_killed_run_continues_and_comes_to_the_same(texts: Path, folder: Path, environ: dict[str, str]) -> None:
    command = [sys.executable, "-m", "server.choose", "--texts", str(texts), "--folder", str(folder), *FLAGS]
    running = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environ}, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (folder / STATE).exists() or b'"rows":{"fp32":' not in (folder / STATE).read_bytes():
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert chosen(environ) is None
    kept = (folder / "fp32.f32").read_bytes()
    assert kept
    assert choose(texts, folder, environ) == 0
    assert (folder / "fp32.f32").read_bytes().startswith(kept[: len(kept) // 32 * 32])
    resumed = chosen(environ)
    assert choose(texts, folder.with_name("other"), environ) == 0
    assert resumed == chosen(environ)


def test_a_budget_that_nothing_meets_names_the_best_and_writes_nothing(
    texts: Path, folder: Path, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert choose(texts, folder, environ, "--budget", "0.001%") == 1
    assert "The best is fp32, float16, 8 dimensions" in capsys.readouterr().err
    assert chosen(environ) is None


def test_what_is_wrong_is_said_before_anything_is_computed(
    texts: Path, folder: Path, environ: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    few = write_lines(tmp_path / "few.jsonl", ["the cat", "a dog"])
    assert choose(few, folder, environ) == 2
    assert "different texts to search, held out of 2 different ones" in capsys.readouterr().err
    assert choose(tmp_path / "none.jsonl", folder, environ) == 2
    assert "--texts" in capsys.readouterr().err
    assert choose(texts, folder, {**environ, "MODEL": "missing"}) == 2
    assert "make build-models" in capsys.readouterr().err
    (Path(environ["MODELS_DIR"]) / "tiny.json.new").mkdir()
    assert choose(texts, folder, environ) == 2
    assert "could not be written" in capsys.readouterr().err
    assert not folder.exists()


def test_other_people_s_folders_are_left_alone(
    texts: Path, folder: Path, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder.mkdir()
    (folder / "mine.txt").write_text("mine", "utf-8")
    assert choose(texts, folder, environ) == 2
    assert "mine.txt was not made by this program" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("text", ["0.5", "", "half", "0%", "100%", "-1%", "1e-3%", "0,5%", "nan%"])
def test_a_budget_that_is_no_percentage_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--texts", "x", "--budget", text], {})
    assert "--budget" in capsys.readouterr().err


def test_a_budget_is_a_share() -> None:
    assert (budget("0.5%"), budget(" 12 %")) == (0.005, 0.12)


@pytest.mark.parametrize("flags", [("--qrels", "x"), ("--measure", "nDCG@10")])
def test_options_that_need_others_say_so(flags: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--texts", "x", *flags], {})
    assert "--queries" in (said := capsys.readouterr().err) or "--qrels" in said
