"""schemathesis against a real server: what /openapi.json says is what happens, for good and for bad requests."""

import subprocess
import sys
from pathlib import Path

from tests.clients.conftest import KEY
from tests.serving import Served, serve

SETTINGS = Path(__file__).with_name("schemathesis.toml")
SEED, EXAMPLES = 1, 20
# Small enough for requests at the limits and beyond to be made and answered in no time.
LIMITS = {"max_text_chars": 600, "max_client_batch_size": 12}


def test_all_checks_pass(tmp_path: Path) -> None:
    with serve(quantization="int8", api_key=KEY, **LIMITS) as served:
        served.client.headers["authorization"] = f"Bearer {KEY}"
        document = served.client.get("/openapi.json")
        # From a file: the route that a document was loaded from would not be tested.
        (tmp_path / "openapi.json").write_bytes(document.content)
        done = schemathesis(served, tmp_path)
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
        assert f"Tested: {len(document.json()['paths'])}" in done.stdout
        assert not [line for line in served.lines if "Traceback" in line]


def schemathesis(served: Served, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run every check in every phase over the document in `folder`; one worker, since its generators share state."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(SETTINGS)]
    command += ["run", "openapi.json", "--url", served.url, "--header", f"Authorization: Bearer {KEY}", "--no-color"]
    command += ["--checks", "all", "--mode", "all", "--phases", "examples,coverage,fuzzing,stateful"]
    command += ["--seed", str(SEED), "--max-examples", str(EXAMPLES), "--workers", "1", "--continue-on-failure"]
    command += ["--generation-database", "none"]
    return subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=280)
