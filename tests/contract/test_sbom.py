"""`make sbom`: lists every runtime package with its version and the hashes it is verified against."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from server import __version__
from tests.serving import ROOT


def pinned() -> dict[str, tuple[str, set[str]]]:
    """Return the version and the hashes of each pinned runtime package."""
    text = (ROOT / "requirements/runtime.txt").read_text("utf-8").replace("\\\n", " ")
    rows = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)(.*)$", text, re.MULTILINE)
    return {name: (version, set(re.findall(r"sha256:([0-9a-f]{64})", rest))) for name, version, rest in rows}


def test_the_bill_of_materials_lists_what_is_pinned(tmp_path: Path) -> None:
    if importlib.util.find_spec("cyclonedx_py") is None:
        pytest.skip("cyclonedx-bom is not installed: requirements/test.txt has it")
    out = tmp_path / "sbom.json"
    # -o: treat the environment as up to date.
    command = ["make", "-o", ".venv/ready", "sbom", f"RUN={sys.executable}", f"SBOM={out}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    bill = json.loads(out.read_text("utf-8"))
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["version"] == __version__
    listed = {
        one["name"]: (one["version"], {mark["content"] for mark in one["externalReferences"][0]["hashes"]})
        for one in bill["components"]
    }
    assert listed == pinned()
    assert {"onnxruntime", "uvicorn"} <= set(listed)
