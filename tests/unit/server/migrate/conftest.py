"""What every unit test of the migration takes for granted."""

import os

import pytest


@pytest.fixture(autouse=True)
def _unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the wait for the disk: what these tests write must outlive a process, not the machine."""
    monkeypatch.setattr(os, "fsync", os.fstat)
