"""Fixtures for all unit tests of the migration."""

import os

import pytest


@pytest.fixture(autouse=True)
def _unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable fsync: what these tests write must survive a process, not a power failure."""
    monkeypatch.setattr(os, "fsync", os.fstat)
