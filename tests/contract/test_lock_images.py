"""`make lock-images`: pins the images of compose.yaml to the digests of their tags."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.contract.test_compose import parsed, services
from tests.serving import ROOT

# Fake of `crane digest IMAGE`: the digest is the hash of the name.
CRANE = """#!/bin/sh
printf %s "$2" | sha256sum | cut -d " " -f 1 | sed s/^/sha256:/
"""


def lock(folder: Path, program: str) -> "subprocess.CompletedProcess[str]":
    crane = folder / "crane"
    crane.write_text(program, "utf-8")
    crane.chmod(0o755)
    environ = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run(["make", "lock-images"], cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


def variables(printed: str) -> dict[str, str]:
    """Parse the output as compose parses a .env file."""
    return dict(line.split("=", 1) for line in printed.splitlines() if not line.startswith("#"))


def test_every_image_from_elsewhere_gets_its_digest(tmp_path: Path) -> None:
    run = lock(tmp_path, CRANE)
    assert run.returncode == 0, run.stderr
    locked = variables(run.stdout)
    assert set(locked) == {"BASE_IMAGE", "GRAFANA_IMAGE", "PROMETHEUS_IMAGE"}
    before, after = services("compose.yaml", {}), services("compose.yaml", locked)
    images = {
        before["grafana"]["image"]: after["grafana"]["image"],
        before["prometheus"]["image"]: after["prometheus"]["image"],
    }
    base = [by_name["embedding-cpu"]["build"]["args"]["BASE_IMAGE"] for by_name in (before, after)]
    for tagged, pinned in [*images.items(), base]:
        assert pinned == f"{tagged.split(':')[0]}@sha256:{hashlib.sha256(tagged.encode()).hexdigest()}"
        assert f"# {tagged}\n" in run.stdout


def test_compose_takes_what_is_locked(tmp_path: Path) -> None:
    locked = variables(lock(tmp_path, CRANE).stdout)
    for name in ("grafana", "prometheus"):
        assert list(
            parsed({"services": {name: {"image": services("compose.yaml", locked)[name]["image"]}}}).service_names()
        )


@pytest.mark.parametrize("program", ["#!/bin/sh\necho latest\n", "#!/bin/sh\nexit 1\n", "#!/bin/sh\n"])
def test_what_is_no_digest_is_never_printed(tmp_path: Path, program: str) -> None:
    run = lock(tmp_path, program)
    assert run.returncode != 0
    assert run.stdout == ""
