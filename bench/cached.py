"""Folders that are made once: whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `path` when the block ends well, and is removed when it does not."""
    staged = path.with_name(f".{path.name}.partial")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    try:
        yield staged
        staged.rename(path)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
