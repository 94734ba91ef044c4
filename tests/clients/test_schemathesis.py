"""Runs schemathesis against a real server: valid and invalid requests behave as /openapi.json states."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.conftest import KEY
from tests.serving import Served, serve

SETTINGS = Path(__file__).with_name("schemathesis.toml")
SEED = int(os.environ.get("FAULT_SEED", "1"))
# Generated requests per route and phase; `make reliability` sets more.
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "20"))
# Grows with the number of requests.
TIMEOUT_S = 280 + 2 * EXAMPLES
# Small limits, so that requests at and beyond them are fast.
LIMITS = {"max_text_chars": 600, "max_client_batch_size": 12}


@pytest.mark.timeout(TIMEOUT_S + 20)
def test_all_checks_pass(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    with serve(quantization="int8", api_key=KEY, **LIMITS) as served:
        served.client.headers["authorization"] = f"Bearer {KEY}"
        document = served.client.get("/openapi.json")
        # From a file: schemathesis does not test the route it loads the document from.
        (tmp_path / "openapi.json").write_bytes(document.content)
        done = schemathesis(served, tmp_path)
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
        assert f"Tested: {sum(map(len, document.json()['paths'].values()))}" in done.stdout
        assert not [line for line in served.lines if "Traceback" in line]
        if cases := re.search(r"Test cases:\s+(\d+) generated", done.stdout):
            record_property("figures", f"{int(cases[1]):,} cases made up by schemathesis")


def schemathesis(served: Served, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run all checks in all phases; with one worker, since the generators share state."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(SETTINGS)]
    command += ["run", "openapi.json", "--url", served.url, "--header", f"Authorization: Bearer {KEY}", "--no-color"]
    command += ["--checks", "all", "--mode", "all", "--phases", "examples,coverage,fuzzing,stateful"]
    command += ["--seed", str(SEED), "--max-examples", str(EXAMPLES), "--workers", "1", "--continue-on-failure"]
    # How long a case takes to make up says how busy the machine is.
    command += ["--generation-database", "none", "--suppress-health-check", "too_slow"]
    return subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S)
