"""A build that fails or is killed at any point leaves the previous models unchanged."""

import hashlib
import os
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import onnx_ir as ir
import pytest

from build.__main__ import main
from build.passes.pack_tokens import PackTokensPass
from server.model.artifact import open_artifact
from server.model.staging import commit_staged, staging_folder
from tests import tiny
from tests.build.conftest import ROOT, Build, Refused, command, environment


def digests(models: Path) -> dict[str, str]:
    """Return name → SHA-256 of every file visible to a server."""
    files = (path for path in sorted(models.iterdir()) if not path.name.startswith("."))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def good(snapshot: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a models folder with one good build, to be copied."""
    models = tmp_path_factory.mktemp("good") / "models"
    assert main(["--model", str(snapshot), "--models-dir", str(models)]) == 0
    return models


@pytest.fixture
def built(good: Path, tmp_path: Path) -> Path:
    """Copy that folder to where the `build` fixture writes."""
    return Path(shutil.copytree(good, tmp_path / "models"))


@pytest.fixture(scope="module")
def changed(snapshot: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a different model of the same name, so that a mix of the two is detected."""
    return tiny.snapshot(tmp_path_factory.mktemp("other") / snapshot.name, pooling="mean")


def test_same_inputs_give_the_same_bytes(built: Path, build: Build, snapshot: Path) -> None:
    before = digests(built)
    assert build("--model", snapshot).returncode == 0
    assert digests(built) == before


@pytest.mark.parametrize(
    ("wanted", "moment"),
    [
        (signal.SIGINT, "source"),
        (signal.SIGINT, "export …"),
        (signal.SIGTERM, "fidelity of fp16 …"),
        (signal.SIGKILL, "convert int8 …"),
    ],
)
def test_stopped_half_way(
    built: Path, build: Build, changed: Path, tmp_path: Path, wanted: signal.Signals, moment: str
) -> None:
    before = digests(built)
    arguments = command("--model", changed, "--models-dir", built, "--cache", tmp_path / "cache")
    with subprocess.Popen(
        arguments, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if line.startswith(moment):
                running.send_signal(wanted)
                break
        running.wait(60)
        assert running.stderr is not None
        said = running.stderr.read()
    assert digests(built) == before
    assert "Traceback" not in said
    assert running.returncode == (-signal.SIGKILL if wanted == signal.SIGKILL else 130)
    open_artifact(built, "tiny", "int8")
    if wanted == signal.SIGKILL:
        # The next build removes the folders of a killed one.
        assert build("--model", changed).returncode == 0
        assert not [path for path in built.iterdir() if path.name.startswith((".scratch", ".staging"))]


def test_a_full_disk(built: Path, changed: Path, tmp_path: Path) -> None:
    before = digests(built)
    done = subprocess.run(
        command("--model", changed, "--models-dir", built, "--cache", tmp_path / "cache"),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        # Limit the file size, so that the write fails as on a full disk.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "error:" in done.stderr
    assert digests(built) == before


def test_a_defect_in_a_pass_ends_the_build(
    built: Path, changed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digests(built)
    monkeypatch.setattr(PackTokensPass, "rewrite", lambda *_: 1)
    with pytest.raises(ir.passes.PostconditionError, match="was not packed"):
        main(["--model", str(changed), "--models-dir", str(built), "--cache", str(tmp_path / "cache")])
    assert digests(built) == before


def test_killed_between_the_renames_the_next_open_ends_them(built: Path, changed: Path, tmp_path: Path) -> None:
    old, second = digests(built), tmp_path / "second"
    assert main(["--model", str(changed), "--models-dir", str(second)]) == 0
    new = digests(second)
    staged = staging_folder(built, "tiny")
    staged.mkdir()
    for name in new:
        (second / name).rename(staged / name)
    (staged / "COMMIT").touch()
    (staged / "tiny.int8.onnx").rename(built / "tiny.int8.onnx")
    assert digests(built) not in (old, new)
    open_artifact(built, "tiny", "fp32")
    assert digests(built) == new
    commit_staged(built, staged)
    assert digests(built) == new


def test_a_second_build_of_the_same_folder_is_refused(
    built: Path, snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = command("--model", snapshot, "--models-dir", built, "--cache", tmp_path / "cache")
    with subprocess.Popen(arguments, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        next(line for line in first.stdout if line.startswith("export …"))
        first.send_signal(signal.SIGSTOP)
        assert main(["--model", str(snapshot), "--models-dir", str(built)]) == 1
        first.send_signal(signal.SIGCONT)
        first.stdout.read()
    assert first.returncode == 0
    assert "another build is writing" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to read-only folders")
def test_a_folder_that_cannot_be_written(refused: Refused, snapshot: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir(mode=0o500)
    assert "cannot be written" in refused("--model", snapshot)


def test_progress_is_plain_lines_without_a_terminal(
    snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--model", str(snapshot), "--models-dir", str(tmp_path), "--precisions", "fp32"]) == 0
    said = capsys.readouterr()
    assert "export: " in said.out
    assert "peak memory" in said.out
    assert "fp32: 50 %" in said.out
    assert "\r" not in said.out + said.err
