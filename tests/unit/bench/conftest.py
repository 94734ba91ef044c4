"""A built model that runs in milliseconds, and workers with a fake contender."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import numpy as np
import pytest

from bench.process import Worker
from bench.subject import BenchSubject, open_subject
from tests.unit.server import tiny

FAKE = "tests.unit.bench.fake"


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    """Create a folder with one built model in which every token has a distinct direction."""
    folder = tmp_path / "models"
    folder.mkdir()
    tiny.write_model(folder)
    rows = np.random.default_rng(2).normal(size=tiny.table().shape).astype(np.float32)
    (folder / f"{tiny.NAME}.onnx").write_bytes(tiny.graph(rows))
    (folder / f"{tiny.NAME}.json").write_bytes(msgspec.json.encode(tiny.describe(folder, tiny.NAME)))
    return folder


@pytest.fixture
def subject(models_dir: Path) -> BenchSubject:
    return open_subject(models_dir, tiny.NAME, threads=1)


@pytest.fixture
def task(subject: BenchSubject) -> dict[str, Any]:
    return asdict(subject.task("fp32"))


@pytest.fixture
def start() -> Iterator[Callable[..., Worker]]:
    """Start workers that are closed after the test."""
    with ExitStack() as stack:

        def started(name: str = "fake", module: str = FAKE) -> Worker:
            return stack.enter_context(Worker(name, Path(sys.executable), ("bench.worker", module), {}))

        yield started


def drawn(svg: str) -> ET.Element:
    """Parse an SVG, which must be well-formed."""
    return ET.fromstring(svg)  # noqa: S314 - trusted
