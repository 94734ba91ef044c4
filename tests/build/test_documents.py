"""Run the documents' build commands verbatim, with a tiny model."""

import re
from pathlib import Path

import pytest

from build.exporters.optimum_onnx import run_optimum
from build.sources.folder import read
from server.model import manifest
from tests.build import fake_hub
from tests.documents import checkout
from tests.documents.checkout import Checkout
from tests.documents.kinds import of_kind
from tests.documents.pages import Command
from tests.serving import MODELS

COMMANDS = of_kind("build")
# They take minutes, and `make test` has built these models by the same rule before.
BUILT_BEFORE = {"MODEL=all-MiniLM-L6-v2", "MODEL=synthetic-bge-large"}
TEXTS = "".join(f'"the cat sat on mat {number} while the server met error {number * 7}"\n' for number in range(60))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    environments = {".venv": ".venv", ".venv-build": ".venv-build", ".venv-build-onnx": ".venv-build"}
    made = checkout.make(tmp_path_factory.mktemp("checkout"), environments)
    for name in ("mine.jsonl", "others.jsonl"):
        (made.folder / name).write_text(TEXTS, "utf-8")
    return made


def words(command: Command) -> set[str]:
    return set(re.findall(r"\bMODEL=\S+", command.text))


@pytest.mark.parametrize("command", [one for one in COMMANDS if not words(one) & BUILT_BEFORE], ids=str)
def test_a_model_is_built(here: Checkout, folder: Path, command: Command) -> None:
    """From a folder, or from a fake Hub that has `owner/tiny` in place of BGE-large."""
    if "FROM=onnx" in command.text:
        run_optimum(read(folder), folder / "onnx")
    typed = command.text.replace("/path/to/snapshot", str(folder))
    with fake_hub.serve(folder) as hub:
        here.run(typed, MODEL="owner/tiny", MODELS_DIR="models", HF_ENDPOINT=hub.url)
    made = manifest.decode((here.folder / "models" / "tiny.json").read_bytes())
    assert made.source.kind == ("folder" if "MODEL=" in typed else "hub")
    for built in (here.folder / "models").glob("tiny*"):
        built.unlink()  # without a manifest the other files would count as foreign


@pytest.mark.parametrize("command", of_kind("inspect"), ids=str)
def test_a_folder_is_inspected(here: Checkout, snapshot: Path, command: Command) -> None:
    assert "model.safetensors" in here.run(command.text.replace("/path/to/snapshot", str(snapshot)))


@pytest.mark.parametrize("command", [one for one in COMMANDS if "--calibrate" in one.text], ids=str)
def test_the_options_beside_the_embedded_default_are_taken(here: Checkout, snapshot: Path, command: Command) -> None:
    typed = command.text.replace("MODEL=all-MiniLM-L6-v2", f"MODEL={snapshot}")
    here.run(typed, MODELS_DIR="models")
    made = manifest.decode((here.folder / "models" / "tiny.json").read_bytes())
    assert made.calibration_texts.count == 60


@pytest.mark.parametrize("command", [one for one in COMMANDS if words(one) & BUILT_BEFORE], ids=str)
def test_the_models_of_the_tests_come_from_the_same_command(here: Checkout, command: Command) -> None:
    (name,) = (word.removeprefix("MODEL=") for word in words(command))
    plain = f"make build-models MODEL={name}"
    ran = here.run(f"make --dry-run --always-make -o .venv-build/ready models/{name}.json").splitlines()[-1]
    typed = here.run(f"make --dry-run {plain.removeprefix('make ')}").splitlines()[-1]
    assert ran.endswith(typed.strip())
    assert (MODELS / f"{name}.json").is_file()
