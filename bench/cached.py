"""Create a folder atomically."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder that is renamed to `path` on success and removed on failure."""
    staged = path.with_name(f".{path.name}.partial")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    try:
        yield staged
        staged.rename(path)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
