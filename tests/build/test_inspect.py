"""`python -m build inspect`: what a folder's files say, or all that is wrong with them, without torch."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from build.__main__ import main
from server.model.artifact import sha256
from tests.build.conftest import ROOT, command
from tests.build.folders import edit


def inspect(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command("inspect", folder), cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_good_folder(snapshot: Path) -> None:
    done = inspect(snapshot)
    assert (done.returncode, done.stderr) == (0, "")
    shown = " ".join(done.stdout.split())
    assert f"model.safetensors {(snapshot / 'model.safetensors').stat().st_size:,}" in shown
    assert sha256(snapshot / "model.safetensors") in shown
    assert "architecture bert config.json" in shown
    assert "pooling cls 1_Pooling/config.json" in shown


def test_several_problems_at_once(snapshot: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(snapshot, tmp_path / "tiny"))
    (folder / "model.safetensors").unlink()
    edit(folder, "tokenizer_config.json", truncation_side="left", nonesuch=True)
    edit(folder, "sentence_bert_config.json", max_seq_length="64")
    done = inspect(folder)
    assert (done.returncode, done.stdout) == (1, "")
    said = done.stderr.splitlines()
    assert all(line.startswith("error: ") for line in said)
    for word in ("has no weights", "'truncation_side'", "'nonesuch'", "'max_seq_length' is no whole number"):
        assert sum(word in line for line in said) == 1
    assert len(said) == 4


def test_a_folder_of_the_transformers_library_takes_a_pooling(
    snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(snapshot, tmp_path / "tiny"))
    for name in ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"):
        (folder / name).unlink()
    edit(folder, "tokenizer_config.json", nonesuch=True)
    assert main(["inspect", str(folder)]) == 1
    unnamed, unknown = capsys.readouterr().err.splitlines()
    assert "has no modules.json" in unnamed
    assert "'nonesuch'" in unknown
    (folder / "tokenizer_config.json").unlink()
    assert main(["--pooling", "mean+max", "inspect", str(folder)]) == 0
    assert "mean+max" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["nowhere", "config.json"])
def test_no_folder(snapshot: Path, name: str) -> None:
    done = inspect(snapshot / name)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"error: {snapshot / name} is no folder: only a model's files on disk can be inspected"
    ]


def test_a_build_tells_the_same_problems(snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(shutil.copytree(snapshot, tmp_path / "tiny"))
    edit(folder, "tokenizer_config.json", truncation_side="left", nonesuch=True)
    assert main(["inspect", str(folder)]) == 1
    inspected = capsys.readouterr().err
    assert main(["--model", str(folder), "--models-dir", str(tmp_path / "models")]) == 1
    assert capsys.readouterr().err == inspected


def test_it_imports_nothing_that_takes_seconds(snapshot: Path) -> None:
    program = (
        "import json, sys; from build.__main__ import main; status = main(['inspect', sys.argv[1]]); "
        "print(json.dumps([status, sorted({name.split('.')[0] for name in sys.modules})]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(snapshot)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    status, imported = json.loads(done.stdout.splitlines()[-1])
    assert status == 0
    heavy = {"huggingface_hub", "onnx", "onnxruntime", "optimum", "sentence_transformers", "torch", "transformers"}
    assert not heavy & set(imported)
