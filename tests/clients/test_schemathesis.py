"""schemathesis against a real server: what /openapi.json says is what happens, for good and for bad requests."""

import subprocess
import sys
from pathlib import Path

from tests.clients.conftest import KEY
from tests.serving import serve

HERE = Path(__file__).parent
SEED, EXAMPLES = 1, 20
# Small enough for requests at the limits and beyond to be made and answered in no time.
LIMITS = {"max_text_chars": 600, "max_client_batch_size": 12}


def test_all_checks_pass(tmp_path: Path) -> None:
    with serve(quantization="int8", api_key=KEY, **LIMITS) as served:
        command = [Path(sys.executable).with_name("schemathesis"), "--config-file", HERE / "schemathesis.toml"]
        command += ["run", f"{served.url}/openapi.json", "--header", f"Authorization: Bearer {KEY}", "--no-color"]
        command += ["--checks", "all", "--mode", "all", "--phases", "examples,coverage,fuzzing,stateful"]
        command += ["--seed", str(SEED), "--max-examples", str(EXAMPLES), "--workers", "2"]
        command += ["--continue-on-failure", "--generation-database", "none"]
        done = subprocess.run(
            list(map(str, command)), check=False, cwd=tmp_path, capture_output=True, text=True, timeout=280
        )
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
        served.client.headers["authorization"] = f"Bearer {KEY}"
        paths = served.client.get("/openapi.json").json()["paths"]
        assert f"Tested: {sum(map(len, paths.values()))}" in done.stdout
        assert not [line for line in served.lines if "Traceback" in line]
