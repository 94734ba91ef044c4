import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from server import settings
from server.model.artifact import Artifact, open_artifact
from server.settings import Settings
from tests.unit.server import tiny


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, raising = root.handlers[:], root.level, logging.raiseExceptions
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    yield
    root.handlers[:], root.level, logging.raiseExceptions = handlers, level, raising
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(capture=False)


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    tiny.write_model(folder)
    return folder


@pytest.fixture
def artifact(models_dir: Path) -> Artifact:
    return open_artifact(models_dir, tiny.NAME, "fp32")


@pytest.fixture
def defaults() -> Settings:
    return settings.resolve({})
