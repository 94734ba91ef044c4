"""Simulates SIGKILL at the n-th file system call, deterministically for every n.

A killed process leaves each call done or not done, and a write also partly done.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CALLS = ("write", "pwrite", "ftruncate", "fsync", "replace", "rename", "unlink", "mkdir", "rmdir")
WRITES = ("write", "pwrite")


class Killed(BaseException):
    """Raised instead of SIGKILL; the program must not catch it."""


class Killer:
    """Counts calls, and raises at call `at`, after half of the data if `half` and it is a write."""

    def __init__(self, at: int, *, half: bool) -> None:
        self.calls = 0
        self._at = at
        self._half = half

    def wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls < self._at:
                return call(*arguments, **named)
            if self.calls == self._at and self._half and name in WRITES:
                descriptor, data, *rest = arguments
                call(descriptor, data[: len(data) // 2], *rest)
            raise Killed

        return counted


@contextmanager
def killing(at: int, *, half: bool = False) -> Iterator[Killer]:
    """Kill the block at its call number `at`; later calls, as in cleanup, have no effect."""
    killer = Killer(at, half=half)
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, killer.wrap(name, getattr(os, name)))
        plain = Path.write_bytes
        patch.setattr(Path, "write_bytes", killer.wrap("write_bytes", plain))
        yield killer
