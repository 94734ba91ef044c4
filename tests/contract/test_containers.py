"""The Dockerfiles and .dockerignore, checked without building an image."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.contract.dockerfiles import (
    DOCKERFILES,
    arguments,
    enters_context,
    image_environment,
    instructions,
    sources,
    stages,
)
from tests.serving import ROOT


@pytest.mark.parametrize("file", DOCKERFILES)
def test_hadolint_has_nothing_to_say(file: str) -> None:
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside) if beside.exists() else shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed: requirements/test.txt has it")
    try:
        run = subprocess.run([hadolint, ROOT / file], capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"hadolint cannot run on this machine: {error}")
    assert (run.returncode, run.stdout + run.stderr) == (0, "")


@pytest.mark.parametrize("file", DOCKERFILES)
def test_what_is_copied_exists_and_enters_the_build_context(file: str) -> None:
    copied = [path for stage in stages(file)[1].values() for path in sources(stage)]
    assert {"server/", "build/"} <= set(copied)
    assert [path for path in copied if not (ROOT / path).exists()] == []
    assert [path for path in copied if not enters_context(path)] == []


def test_the_build_context_holds_every_source_and_nothing_else() -> None:
    python = [path for folder in ("server", "build") for path in (ROOT / folder).rglob("*.py")]
    outside = [path for path in python if not enters_context(path.relative_to(ROOT).as_posix())]
    assert outside == []
    assert enters_context("build/data/fidelity.jsonl")
    for path in (".git/config", ".env", "models/a.onnx", "tests/tiny.py", "server/__pycache__/app.cpython-311.pyc"):
        assert not enters_context(path), path


@pytest.mark.parametrize("file", DOCKERFILES)
def test_what_is_copied_from_a_stage_comes_from_an_earlier_one(file: str) -> None:
    names = list(stages(file)[1])
    for position, stage in enumerate(stages(file)[1].values()):
        origins = [rest.split()[0].removeprefix("--from=") for rest in stage.all("COPY") if rest.startswith("--from=")]
        assert set(origins) <= set(names[:position])


@pytest.mark.parametrize("file", DOCKERFILES)
def test_the_image_gets_the_runtime_requirements_and_no_others(file: str) -> None:
    by_name = stages(file)[1]
    wanted = "requirements/runtime-gpu.txt" if file.endswith("gpu") else "requirements/runtime.txt"
    extra = "requirements/otel.txt"
    assert [path for path in sources(by_name["packages"]) if path.startswith("requirements")] == [wanted, extra]
    installs = " ".join(by_name["packages"].all("RUN"))
    assert re.findall(r"-r (requirements/\S+)", installs) == [wanted, "requirements/${EXTRAS}.txt}"]
    assert "${EXTRAS:+-r " in installs
    assert sources(by_name["runtime"]) == []
    assert not re.search(r"\b(install|apt-get|apt|venv)\b", " ".join(by_name["runtime"].all("RUN")))
    assert "torch" not in str(by_name["packages"].steps + by_name["runtime"].steps)


@pytest.mark.parametrize("file", DOCKERFILES)
def test_every_install_checks_hashes_but_that_of_torch(file: str) -> None:
    steps = [rest for stage in stages(file)[1].values() for rest in stage.all("RUN")]
    installs = [part for rest in steps for part in re.split("&&|;", rest) if " install " in part]
    assert len(installs) == 4
    for install in installs:
        assert ("--require-hashes" in install) != ("torch.txt" in install)


def test_the_hashed_torch_is_the_same_version_with_all_that_it_needs() -> None:
    plain, hashed = ((ROOT / f"requirements/{name}.txt").read_text("utf-8") for name in ("torch", "torch-hashed"))
    assert re.findall(r"^torch==\S+", plain, re.MULTILINE) == re.findall(r"^torch==\S+", hashed, re.MULTILINE)
    blocks = [block for block in re.split(r"^(?=\S+==)", hashed, flags=re.MULTILINE) if block]
    assert len(blocks) > 20
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.parametrize("file", DOCKERFILES)
def test_every_variable_used_is_declared_in_its_stage(file: str) -> None:
    head, by_name = stages(file)
    for stage in by_name.values():
        assert set(re.findall(r"\$\{(\w+)", stage.base)) <= set(arguments(head))
        known = {"PATH"}
        for verb, rest in stage.steps:
            assert set(re.findall(r"\$\{?(\w+)", rest)) <= known, f"{file}, {stage.name}: {verb} {rest}"
            known |= set(arguments([(verb, rest)]))


@pytest.mark.parametrize("file", DOCKERFILES)
def test_models_can_be_left_out(file: str) -> None:
    builder = stages(file)[1]["builder"]
    costly = [rest for rest in builder.all("RUN") if "install" in rest or "-m build" in rest]
    assert len(costly) == 2
    assert all('if [ "${MODELS}" != none ]; then' in rest for rest in costly)


@pytest.mark.parametrize("file", DOCKERFILES)
def test_the_image_runs_as_a_user_and_stops_on_sigterm(file: str) -> None:
    runtime = stages(file)[1]["runtime"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", runtime.one("USER"))
    assert json.loads(runtime.one("CMD")) == ["python", "-m", "server"]
    assert runtime.one("STOPSIGNAL") == "SIGTERM"
    assert runtime.one("EXPOSE") == "8000"


@pytest.mark.parametrize("file", DOCKERFILES)
def test_the_image_is_labelled_with_the_version_that_it_is_given(file: str) -> None:
    runtime = stages(file)[1]["runtime"]
    assert arguments(runtime.steps)["VERSION"] == ""
    assert 'org.opencontainers.image.version="${VERSION}"' in runtime.one("LABEL")


@pytest.mark.parametrize("file", DOCKERFILES)
def test_the_image_carries_the_licence_it_names(file: str) -> None:
    by_name = stages(file)[1]
    (licence,) = re.findall(r'image\.licenses="([^"]+)"', by_name["runtime"].one("LABEL"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert licence == project["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text("utf-8")
    assert "--from=packages /app/LICENSE /app/LICENSE" in by_name["runtime"].all("COPY")


@pytest.mark.parametrize("file", DOCKERFILES)
def test_onnx_runtime_reports_to_nobody(file: str) -> None:
    by_name = stages(file)[1]
    for name in ("builder", "runtime"):
        assert image_environment(by_name[name])["ORT_DISABLE_TELEMETRY"] == "1"


def test_the_two_dockerfiles_differ_in_the_device_only() -> None:
    cpu, gpu = (list(instructions((ROOT / file).read_text("utf-8"))) for file in DOCKERFILES)
    assert [verb for verb, _ in cpu] == [verb for verb, _ in gpu]
    different = [verb for one, (verb, _) in zip(cpu, gpu, strict=True) if one != (verb, _)]
    assert different == ["COPY", "RUN", "ARG", "LABEL", "ARG", "ENV"]
    defaults = [image_environment(stages(file)[1]["runtime"])["DEVICE"] for file in DOCKERFILES]
    assert defaults == ["cpu", "cuda"]


@contextmanager
def answering(status: int) -> Iterator[int]:
    """Run a server that answers /ready with `status` and anything else with 404; yield its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/ready" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def probe(file: str, port: int) -> int:
    """Run the image's health check on `port`, with http_proxy set to a dead proxy; return its exit status."""
    _, _, command = stages(file)[1]["runtime"].one("HEALTHCHECK").partition("CMD ")
    python, *rest = json.loads(command)
    assert python == "python"
    environ = {**os.environ, "PORT": str(port), "http_proxy": "http://127.0.0.1:9"}
    return subprocess.run([sys.executable, *rest], env=environ, stderr=subprocess.DEVNULL, check=False).returncode


@pytest.mark.parametrize("file", DOCKERFILES)
def test_the_health_check_follows_ready(file: str) -> None:
    with answering(200) as port:
        assert probe(file, port) == 0
    with answering(503) as port:
        assert probe(file, port) == 1
    assert probe(file, port) == 1
