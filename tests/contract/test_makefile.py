"""The output of make targets."""

import subprocess
from pathlib import Path

from tests.serving import ROOT


def test_make_migrate_does_not_print_the_address_that_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "ready").touch()
    python = tmp_path / "bin" / "python"
    python.write_text('#!/bin/sh\nprintf %s "$*" > "$(dirname "$0")/../given"\nexit 1\n', "utf-8")
    python.chmod(0o755)
    output = "postgresql://me:hidden@127.0.0.1/app#docs"
    command = ["make", "migrate", f"MIGRATE={tmp_path}", "INPUT=a.json", f"OUTPUT={output}"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert output in (tmp_path / "given").read_text("utf-8")
    assert "migrate" in run.stderr
    assert "hidden" not in run.stdout + run.stderr
