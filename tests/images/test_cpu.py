"""Dockerfile.cpu without a model in it: built, then run as the manifests run it, with the models mounted."""

import signal
import subprocess
from collections.abc import Iterator

import pytest

from server import __version__
from tests.images.container import Container, descendants, isolated
from tests.images.storage import Storage, unpacked_bytes
from tests.serving import MINILM, MODELS

TAG = "localhost/embedding-service:cpu-test"
LIMIT = 350_000_000
SERVER = ("python", "-m", "server")
ASK_400 = """
import http.client, json
body = json.dumps({"texts": ["some words to compute " * 20] * 400})
connection = http.client.HTTPConnection("127.0.0.1", 8000)
connection.request("POST", "/embed", body, {"Content-Type": "application/json"})
print("sent", flush=True)
print(len(json.load(connection.getresponse())["embeddings"]))
"""

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def container(storage: Storage) -> Iterator[Container]:
    storage.build("Dockerfile.cpu", TAG, MODELS="none", VERSION=__version__, REVISION="abc")
    with isolated(storage, TAG, MODELS) as made:
        yield made


@pytest.fixture(scope="module")
def serving(container: Container) -> Iterator[subprocess.Popen[str]]:
    """The image's own command, as the image's own user."""
    with container.start(*container.config()["Cmd"], MODEL=MINILM, QUANTIZATION="int8") as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if "ready, listening" in line:
                break
        else:
            raise AssertionError("".join(said))
        yield process


def test_the_image_without_a_model_is_small(container: Container, capsys: pytest.CaptureFixture[str]) -> None:
    whole = unpacked_bytes(container.root)
    server = unpacked_bytes(container.root / "opt/server") + unpacked_bytes(container.root / "app")
    with capsys.disabled():
        print(f"\nCPU image without a model: {whole / 1e6:.0f} MB unpacked, {server / 1e6:.0f} MB of it ours")
    assert whole <= LIMIT
    assert not list((container.root / "models").iterdir())


def test_the_image_holds_neither_pip_nor_compilers_nor_the_build_stage(container: Container) -> None:
    code, said = container.run("python", "-c", "import importlib.util as u; print(*map(u.find_spec, ['torch', 'pip']))")
    assert (code, said.split()) == (0, ["None", "None"])
    for name in ("pip", "pip3", "gcc", "cc", "make"):
        assert container.run("sh", "-c", f"command -v {name}")[0] != 0, name
    assert not (container.root / "app/build").exists()


def test_the_image_says_what_it_is(container: Container) -> None:
    labels = container.config()["Labels"]
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.revision"] == "abc"


def test_nothing_can_be_written_not_even_by_root(container: Container) -> None:
    code, said = container.run("id", "-u")
    assert (code, said.strip()) == (0, "1000")
    for user in ("", "0"):
        code, said = container.run("sh", "-c", "touch /app/x || touch /models/x || touch /opt/server/x", user=user)
        assert code != 0
        assert said.count("Read-only file system") == 3


@pytest.mark.usefixtures("serving")
def test_it_answers_and_makes_sense(container: Container) -> None:
    status, answer = container.ask("POST", "/embed", {"text": "Hello world"})
    assert (status, len(answer["embedding"])) == (200, 384)
    code, said = container.run("python", "-m", "server.smoke", "http://127.0.0.1:8000")
    assert (code, said.splitlines()[-1]) == (0, "smoke: all good")


@pytest.mark.usefixtures("serving")
def test_its_own_health_check_passes(container: Container) -> None:
    kind, *command = container.config()["Healthcheck"]["Test"]
    assert kind == "CMD"
    assert container.run(*command) == (0, "")


def test_sigterm_drains_and_ends_well(container: Container, serving: subprocess.Popen[str]) -> None:
    with container.start("python", "-c", ASK_400) as asking:
        assert asking.stdout is not None
        assert asking.stdout.readline() == "sent\n"
        while container.ask("GET", "/info")[0] != 200:
            pass
        descendants(serving)[-1].send_signal(signal.SIGTERM)
        assert asking.stdout.read().strip() == "400"
    assert serving.wait(90) == 0
    code, _ = container.run(*container.config()["Healthcheck"]["Test"][1:])
    assert code == 1


def test_a_missing_model_is_named(container: Container) -> None:
    with container.start(*SERVER, MODEL="nobody", PORT="0") as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "nobody.json not found" in said
