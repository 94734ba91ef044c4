"""The Dockerfiles, compose.yaml and .dockerignore, as far as they can be judged without building an image."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from server import __version__
from server.settings import SETTINGS

ROOT = Path(__file__).parents[2]
DOCKERFILES = ("Dockerfile.cpu", "Dockerfile.gpu")
# What the image decides: where it listens, on what it computes and where its models are.
FIXED_BY_IMAGE = {"MODELS_DIR", "DEVICE", "HOST", "PORT"}


@dataclass
class Stage:
    """One stage of a Dockerfile: its base as written, and its instructions as (verb, rest)."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, verb: str) -> list[str]:
        return [rest for step, rest in self.steps if step == verb]

    def one(self, verb: str) -> str:
        (rest,) = self.all(verb)
        return rest


def instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        verb, _, rest = line.partition(" ")
        yield verb, " ".join(rest.split())


def stages(file: str) -> tuple[list[tuple[str, str]], dict[str, Stage]]:
    """Split a Dockerfile into what stands before its first stage, and its stages by name in order."""
    head: list[tuple[str, str]] = []
    found: dict[str, Stage] = {}
    for verb, rest in instructions((ROOT / file).read_text("utf-8")):
        if verb == "FROM":
            base, _, name = rest.partition(" AS ")
            found[name] = stage = Stage(base, name)
        elif not found:
            head.append((verb, rest))
        else:
            stage.steps.append((verb, rest))
    return head, found


def image_environment(runtime: Stage) -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S+)", " ".join(runtime.all("ENV"))))


def sources(stage: Stage) -> list[str]:
    """Paths that a stage copies from the build context."""
    copied = (rest.split() for rest in stage.all("COPY") if not rest.startswith("--from"))
    return [path for words in copied for path in words[:-1]]


def arguments(steps: list[tuple[str, str]]) -> dict[str, str]:
    return {name: value for verb, rest in steps if verb == "ARG" for name, _, value in [rest.partition("=")]}


def enters_context(path: str) -> bool:
    """Tell whether .dockerignore lets `path` through: the last pattern that matches it or a parent of it decides."""
    allowed = True
    parts = path.strip("/").split("/")
    candidates = ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.strip().removeprefix("!")
        if pattern and not pattern.startswith("#") and any(ignore_match(pattern, one) for one in candidates):
            allowed = line.startswith("!")
    return allowed


def ignore_match(pattern: str, path: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch(path.rsplit("/", 1)[-1], pattern.removeprefix("**/"))
    return pattern.count("/") == path.count("/") and fnmatch(path, pattern)


def filled(value: Any, environ: Mapping[str, str]) -> Any:
    """Fill in `${NAME:-default}` as compose does: empty counts as unset."""
    if isinstance(value, dict):
        return {key: filled(one, environ) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, environ) for one in value]
    if not isinstance(value, str):
        return value
    out = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda match: environ.get(match[1]) or match[2], value)
    assert "$" not in out
    return out


def services(environ: Mapping[str, str]) -> list[dict[str, Any]]:
    parsed = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    return list(filled(parsed["services"], environ).values())


def service(profile: str, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the one service that `--profile` starts."""
    (chosen,) = [one for one in services(environ or {}) if profile in one["profiles"]]
    return chosen


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
    found = stages(file)[1]
    wanted = "requirements/runtime-gpu.txt" if file.endswith("gpu") else "requirements/runtime.txt"
    assert [path for path in sources(found["packages"]) if path.startswith("requirements")] == [wanted]
    assert re.findall(r"-r (\S+)", " ".join(found["packages"].all("RUN"))) == [wanted]
    assert sources(found["runtime"]) == []
    assert not re.search(r"\b(install|apt-get|apt|venv)\b", " ".join(found["runtime"].all("RUN")))
    assert "torch" not in str(found["packages"].steps + found["runtime"].steps)


@pytest.mark.parametrize("file", DOCKERFILES)
def test_every_install_checks_hashes_but_that_of_torch(file: str) -> None:
    steps = [rest for stage in stages(file)[1].values() for rest in stage.all("RUN")]
    installs = [part for rest in steps for part in rest.split("&&") if " install " in part]
    assert len(installs) == 3
    for install in installs:
        assert ("--require-hashes" in install) != ("torch.txt" in install)


@pytest.mark.parametrize("file", DOCKERFILES)
def test_every_variable_used_is_declared_in_its_stage(file: str) -> None:
    head, found = stages(file)
    for stage in found.values():
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
def test_the_image_is_labelled_with_the_version_of_the_server(file: str) -> None:
    runtime = stages(file)[1]["runtime"]
    assert arguments(runtime.steps)["VERSION"] == __version__
    assert 'org.opencontainers.image.version="${VERSION}"' in runtime.one("LABEL")


@pytest.mark.parametrize("file", DOCKERFILES)
def test_onnx_runtime_reports_to_nobody(file: str) -> None:
    found = stages(file)[1]
    for name in ("builder", "runtime"):
        assert image_environment(found[name])["ORT_DISABLE_TELEMETRY"] == "1"


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
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def probe(file: str, port: int) -> int:
    """Run the image's own health check against `port`, beside a proxy that is not there; return its exit status."""
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


def test_nothing_starts_without_a_profile() -> None:
    assert [one["profiles"] for one in services({})] == [["cpu"], ["gpu"]]


@pytest.mark.parametrize(
    ("profile", "precision", "memory"), [("cpu", "int8", "4g"), ("gpu", "fp16", "8g")], ids=["cpu", "gpu"]
)
def test_each_profile_serves_bge_large_on_port_8000(profile: str, precision: str, memory: str) -> None:
    chosen = service(profile)
    assert chosen["build"]["dockerfile"] == f"Dockerfile.{profile}"
    assert chosen["build"]["args"]["MODEL"] == chosen["environment"]["MODEL"] == "BAAI/bge-large-en-v1.5"
    assert chosen["environment"]["QUANTIZATION"] == precision
    assert chosen["mem_limit"] == memory
    assert chosen["ports"] == ["8000:8000"]


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_the_environment_chooses_model_precision_port_and_memory(profile: str) -> None:
    chosen = service(profile, {"MODEL": "a/b", "QUANTIZATION": "fp32", "PORT": "9000", "MEMORY_LIMIT": "2g"})
    assert chosen["build"]["args"]["MODEL"] == chosen["environment"]["MODEL"] == "a/b"
    assert chosen["environment"]["QUANTIZATION"] == "fp32"
    assert chosen["ports"] == ["9000:8000"]
    assert chosen["mem_limit"] == "2g"


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_a_service_may_write_nothing_and_gain_no_rights(profile: str) -> None:
    chosen = service(profile)
    assert chosen["read_only"] is True
    assert chosen["cap_drop"] == ["ALL"]
    assert chosen["security_opt"] == ["no-new-privileges:true"]
    assert [mount.split(":")[0] for mount in chosen["tmpfs"]] == ["/tmp"]  # noqa: S108 - the container's own
    assert chosen["restart"] == "unless-stopped"


def test_accepted_requests_may_end_before_a_stop_kills() -> None:
    timeout = next(float(row.default) for row in SETTINGS if row.name == "REQUEST_TIMEOUT_S")
    assert all(int(service(profile)["stop_grace_period"].removesuffix("s")) > timeout for profile in ("cpu", "gpu"))


def test_only_the_gpu_profile_reserves_a_device() -> None:
    assert "deploy" not in service("cpu")
    (device,) = service("gpu")["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_every_setting_reaches_the_server(profile: str) -> None:
    passed = set(service(profile)["environment"])
    assert passed == {row.name for row in SETTINGS} - FIXED_BY_IMAGE
    assert set(image_environment(stages(f"Dockerfile.{profile}")[1]["runtime"])) >= FIXED_BY_IMAGE


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_build_arguments_have_the_defaults_of_the_dockerfile(profile: str) -> None:
    head, found = stages(f"Dockerfile.{profile}")
    declared = arguments(head) | arguments(found["builder"].steps)
    passed = service(profile)["build"]["args"]
    assert {name: declared[name] for name in passed} == passed


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_compose_itself_accepts_the_file(profile: str) -> None:
    command = [*compose_command(), "-f", "compose.yaml", "--profile", profile, "config", "--quiet"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def compose_command() -> list[str]:
    for command in (["docker", "compose"], ["docker-compose"]):
        found = shutil.which(command[0]) is not None
        if found and subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0:
            return command
    pytest.skip("neither docker compose nor docker-compose is installed")
