"""Runs the documents' commands verbatim, except for ports, in a temporary checkout.

Builds run in tests/build, and migrations in tests/migrate/stores. Commands that need a container engine or a cluster
are only checked against the files that they name.
"""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from bench import __main__ as bench
from server.choose import asked as choose
from server.verify import __main__ as verify
from tests.documents import checkout
from tests.documents.checkout import Checkout
from tests.documents.kinds import kind, of_kind
from tests.documents.pages import Command, blocks, commands, inline_commands
from tests.serving import MINILM, ROOT, Served

PLAN = of_kind("plan")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout with the environments to serve and to build."""
    made = checkout.make(tmp_path_factory.mktemp("checkout"), {".venv": ".venv", ".venv-build": ".venv"})
    checkout.add_model(made)
    return made


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout whose environment includes requirements/otel.txt."""
    return checkout.make(tmp_path_factory.mktemp("traced"), {".venv": ".venv-clients"})


@pytest.mark.parametrize("command", commands(), ids=str)
def test_some_test_runs_it(command: Command) -> None:
    assert kind(command), f"no test runs {command.text!r}: give it a kind in tests/documents/kinds.py, and a test"


def test_the_pages_have_the_commands_that_these_tests_are_about() -> None:
    assert {block.page for block in blocks("bash")} == {
        *("README.md", "CONTRIBUTING.md", "docs/migration.md", "docs/operations.md", "docs/quantization.md"),
        *("docs/reliability.md", "docs/space.md"),
    }
    assert {kind(command) for command in commands()} >= {"serve", "ask", "build", "migrate", "plan", "compose"}


@pytest.mark.parametrize("command", of_kind("serve"), ids=str)
def test_a_server_starts_and_answers(request: pytest.FixtureRequest, command: Command) -> None:
    place: Checkout = request.getfixturevalue("traced" if "OTEL" in command.text else "clone")
    typed = re.sub(r"\bPORT=\d+", "PORT=0", command.text).replace("http://collector:4318", "http://127.0.0.1:9")
    with place.serving(typed) as url:
        info = httpx.get(f"{url}/info").json()
        answer = httpx.post(f"{url}/embed", json={"text": "Hello world"}).json()
    assert info["model_id"].endswith(MINILM)
    assert len(answer["embedding"]) == 384
    for name, value in re.findall(r"\b(QUANTIZATION|DEVICE)=(\S+)", typed):
        assert value in json.dumps(info), name


@pytest.mark.parametrize("command", of_kind("ask"), ids=str)
def test_a_running_server_is_asked(clone: Checkout, int8: Served, command: Command) -> None:
    said = clone.run(command.text.replace("localhost:8000", int8.url.removeprefix("http://")), URL=int8.url)
    if command.text.startswith("curl"):
        assert json.loads(said).keys() & {"embedding", "embeddings", "data"}, said
    else:
        assert "smoke: all good" in said


@pytest.mark.parametrize("command", of_kind("check"), ids=str)
def test_make_knows_the_verb(clone: Checkout, command: Command) -> None:
    assert clone.run(f"make --dry-run {command.text.removeprefix('make ')}")


def test_continuous_integration_types_readme_s_second_command() -> None:
    assert re.search(r"^exec make test$", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def figures(clone: Checkout) -> Iterator[Path]:
    """The results of `make compare` that the plan reads."""
    spread = {"median": 1236.0, "low": 1200.0, "high": 1300.0}
    path = clone.folder / "compare.json"
    path.write_text(json.dumps({"variants": {"int8": {"tokens_per_s": {"16-mixed": spread}}}}), "utf-8")
    yield path
    path.unlink()


@pytest.mark.usefixtures("figures")
@pytest.mark.parametrize("command", PLAN, ids=str)
def test_the_plan_is_the_one_on_the_page(clone: Checkout, command: Command) -> None:
    said = clone.run(command.text)
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    planned = {line.split()[0]: line.split()[1:3] for line in said.splitlines() if re.match(r" *\d", line)}
    rows = re.findall(r"^\| ([\d,]+) \| ([\d,]+) \| (\d+) \| \d+ % \|$", page, re.MULTILINE)
    assert len(rows) == 4
    for texts, tokens, servers in rows:
        assert planned[f"{texts}.0"] == [tokens, servers], said
    if "--charts" in command.text:
        assert (clone.folder / "plan" / "servers.svg").read_text("utf-8").startswith("<svg")


@pytest.mark.parametrize("command", of_kind("install"), ids=str)
def test_an_environment_of_that_name_is_made_from_that_file(command: Command) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    *_, named = shlex.split(command.text)
    if named.endswith(".txt"):
        assert "--hash=sha256:" in (ROOT / named).read_text("utf-8")
        assert re.search(rf"^\.venv[\w-]*/ready:.* {named}( |$)", makefile, re.MULTILINE)
    else:
        assert f"\n{named.split('/')[0]}/ready:" in makefile


@pytest.mark.parametrize("command", of_kind("wheels"), ids=str)
def test_wheels_are_fetched_by_the_script(clone: Checkout, command: Command) -> None:
    """tests/contract/test_wheels.py runs it."""
    ran = clone.run(f"make --dry-run {command.text.removeprefix('make ')}")
    assert './requirements/wheels.sh "wheels"' in ran


@pytest.mark.parametrize("command", of_kind("verify"), ids=str)
def test_the_verification_takes_the_arguments_as_written(clone: Checkout, command: Command) -> None:
    """tests/unit/server/verify runs it."""
    ran = clone.run(f"make --dry-run -o .venv-stores/ready {command.text.removeprefix('make ')}").splitlines()[-1]
    assert verify.parser().parse_args(shlex.split(ran)[3:]).target


@pytest.mark.parametrize("command", of_kind("choose"), ids=str)
def test_the_choice_takes_the_arguments_as_written(clone: Checkout, command: Command) -> None:
    """tests/unit/server/choose and tests/contract/test_choose.py run it."""
    ran = clone.run(f"make --dry-run {command.text.removeprefix('make ')}").splitlines()[-1]
    assert choose.parse(shlex.split(ran)[3:]).texts


@pytest.mark.parametrize("command", of_kind("load"), ids=str)
def test_the_harness_takes_the_load_as_written(clone: Checkout, command: Command) -> None:
    ran = clone.run(f"make --dry-run -o .venv-peers/ready {command.text.removeprefix('make ')}").splitlines()[-1]
    arguments = shlex.split(ran)[3:]
    assert bench.parser().parse_args(arguments).command == "load"


@pytest.mark.parametrize("command", of_kind("gpu"), ids=str)
def test_a_gpu_is_used_by_files_and_flags_that_are_there(clone: Checkout, command: Command) -> None:
    """Without a GPU; tests/unit/bench/gpu/test_script.py runs the script on a CPU."""
    program, *words = shlex.split(command.text)
    if program == "make":
        assert clone.run(f"make --dry-run {shlex.join(words)}")
    elif program == "bench/gpu.sh":
        usage = (ROOT / program).read_text("utf-8")
        assert [word for word in words if word.startswith("--") and f"#   {word} " not in usage] == []
    else:
        named = [word for word in words if word.endswith(".txt")]
        assert named or "onnxruntime" in words
        assert all("onnxruntime-gpu==" in (ROOT / name).read_text("utf-8") for name in named)


@pytest.mark.parametrize("command", of_kind("compose"), ids=str)
def test_compose_is_asked_for_profiles_that_are_there(clone: Checkout, command: Command) -> None:
    words = shlex.split(command.text)
    if words[0] == "make":
        words = shlex.split(clone.run(f"make --dry-run {words[1]}"))
    services = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    asked = {words[place + 1] for place, word in enumerate(words) if word == "--profile"}
    assert asked
    assert asked <= {profile for one in services.values() for profile in one["profiles"]}
    assert words[-1] in {"up", "down", "--build"}


@pytest.mark.parametrize("command", of_kind("cluster"), ids=str)
def test_a_cluster_is_given_files_that_are_there(command: Command) -> None:
    words = shlex.split(command.text)
    if words[1] == "create":
        (name, literal), manifests = words[4:], yaml.safe_load_all((ROOT / "deploy/k8s.yaml").read_text("utf-8"))
        (pod,) = [one["spec"]["template"]["spec"] for one in manifests if one["kind"] == "Deployment"]
        (key,) = [row["valueFrom"]["secretKeyRef"] for row in pod["containers"][0]["env"] if row["name"] == "API_KEY"]
        assert (words[2:4], name) == (["secret", "generic"], key["name"])
        assert literal.startswith(f"--from-literal={key['key']}=")
        return
    files = [words[place + 1] for place, word in enumerate(words) if word == "-f"]
    assert words[1] == "apply"
    assert files
    # tests/contract/test_kubernetes.py checks their contents.
    assert [file for file in files if not (ROOT / file).is_file()] == []


@pytest.mark.parametrize(("page", "command"), inline_commands(), ids=lambda value: value[:60])
def test_commands_in_sentences_exist(clone: Checkout, page: str, command: str) -> None:
    program, *words = shlex.split(re.sub(r"\[.*?\]|…|\.\.\.", "", command))
    if program == "make":
        clone.run(shlex.join(["make", "--dry-run", "-o", "models/x", *words]))
    elif program == "docker":
        assert {"cpu", "gpu", "monitoring"} & set(words), page
    elif "-m" in words:
        module = words[words.index("-m") + 1]
        place = ROOT / module.replace(".", "/")
        assert module == "pytest" or place.is_dir() or place.with_suffix(".py").is_file()
        assert [word for word in words if word.startswith("tests/") and not (ROOT / word).exists()] == []
