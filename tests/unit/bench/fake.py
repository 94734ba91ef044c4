"""A fake contender for real worker processes: counts tokens, and fails on request."""

import os
import signal
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.contenders import Task, Vectors

PACKAGES = ("numpy",)
# Token ids that trigger failures.
RAISE, DIE, END, HANG = 101, 102, 103, 104


class Fake:
    """Returns [length, first id] for each text."""

    def run(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        command = sequences[0][0]
        if command == RAISE:
            raise ValueError("no such token")
        if command == DIE:
            os.kill(os.getpid(), signal.SIGKILL)
        if command == END:
            print("the library gave up", flush=True)
            os._exit(3)
        if command == HANG:
            time.sleep(600)
        return np.array([[len(sequence), sequence[0]] for sequence in sequences], np.float32)

    def notes(self) -> dict[str, Any]:
        return {"kind": "fake"}


def prepare(task: Task) -> dict[str, str]:
    return {"folder": f"{task.cache}/made"}


def load(task: Task) -> Fake:
    print("libraries print to standard output")
    if task.precision == "broken":
        raise OSError("the file is damaged")
    return Fake()
