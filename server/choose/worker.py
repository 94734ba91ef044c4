"""Embeds texts in one precision, in a process of its own, so that its memory is that of this precision alone.

The request comes on standard input. Vectors go to standard output as they are finished, then a line about the run.
"""

import os
import sys
import time
from collections.abc import Iterator
from typing import BinaryIO

import msgspec
import numpy as np

from server.errors import ServiceError, StartError
from server.inference.engine import Vectors
from server.migrate.commands.model import start_runner
from server.migrate.pipeline.embed import Embedder
from server.migrate.pipeline.prepare import Preparer
from server.service.embed_request import Asker
from server.service.startup import load
from server.settings import resolve
from server.system import machine
from server.telemetry import logs

AT_ONCE = 64


class Request(msgspec.Struct):
    """Texts, and whether they are documents or queries."""

    texts: list[str]
    input_type: str


class Ran(msgspec.Struct):
    """Seconds to tokenize and compute all texts, and the process's memory afterwards, in bytes."""

    seconds: float
    resident: int


def main() -> int:
    """Embed the texts of the request; return the exit status."""
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # so that no library prints among the vectors
    logs.configure("text", "warning")
    try:
        _answer(msgspec.json.decode(sys.stdin.buffer.read(), type=Request), results)
    except (StartError, ServiceError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except BrokenPipeError:  # whoever asked is gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), results.fileno())
        return 1
    return 0


def _answer(request: Request, results: BinaryIO) -> None:
    seconds = 0.0
    for vectors, spent in _embedded(request):
        results.write(vectors.astype("<f4", copy=False).tobytes())
        results.flush()
        seconds += spent
    results.write(msgspec.json.encode(Ran(seconds, machine.held_memory().resident)))
    results.flush()


def _embedded(request: Request) -> Iterator[tuple[Vectors, float]]:
    loaded = load(resolve(os.environ))
    prompt = Asker(loaded.settings, loaded.artifact.manifest).prompt(request.input_type, None)
    preparer = Preparer(loaded.tokenizer, prompt, None, loaded.settings.max_text_chars)
    embedder = Embedder(*start_runner(loaded), None, None)
    for start in range(0, len(request.texts), AT_ONCE):
        started = time.perf_counter()
        encoded = preparer.encode(request.texts[start : start + AT_ONCE])
        sequences = []
        for encoding in encoded:
            if isinstance(encoding, str):
                raise ValueError(encoding)
            sequences.append(np.array(encoding.ids, np.int64))
        vectors, _ = embedder.vectors(sequences)
        yield vectors, time.perf_counter() - started


if __name__ == "__main__":
    raise SystemExit(main())
