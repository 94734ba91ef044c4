"""Computes the vectors of every precision in turns, each in a process of its own, and keeps how long that took.

The inputs are divided into rounds. In a round every precision embeds the same texts, each round beginning with another
one, so that a machine that slows down slows all of them.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from server.choose.errors import ChooseError
from server.choose.material import Material
from server.choose.work_folder import FLOAT_BYTES, Spent, WorkFolder
from server.choose.worker import AT_ONCE, Ran, Request
from server.migrate.commands.progress import Progress
from server.model.manifest import Precision

# Rounds over the texts; those over queries are as many as the looks at them. Only texts are timed.
TEXT_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Round:
    """Inputs `start` to `end`, all texts or all queries."""

    number: int
    start: int
    end: int
    texts: Sequence[str]
    input_type: str


def rounds(material: Material, looks: Sequence[int]) -> list[Round]:
    """Divide texts and queries into rounds: TEXT_ROUNDS over the texts, then one for each look."""
    count = len(material.texts)
    ends = [count * part // TEXT_ROUNDS for part in range(1, TEXT_ROUNDS + 1)] + [count + look for look in looks]
    inputs = [*material.texts, *material.queries]
    as_query = "document" if material.held_out else "query"
    return [
        Round(number, start, end, inputs[start:end], "document" if end <= count else as_query)
        for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True))
    ]


def speeds(spent: Mapping[int, Spent], texts: int) -> tuple[float, ...]:
    """Return the texts a second of each round over `texts` texts, in order.

    What was left of a round when a run was killed may be a few texts. Less than half a round does not count, unless
    there is nothing else.
    """
    timed = [one for number, one in sorted(spent.items()) if number < TEXT_ROUNDS and one.texts]
    whole = [one for one in timed if 2 * TEXT_ROUNDS * one.texts >= texts]
    return tuple(one.texts / max(one.seconds, 1e-9) for one in whole or timed)


class Computing:
    """Embeds rounds in every precision; what is finished is not computed again."""

    def __init__(
        self, work: WorkFolder, precisions: Sequence[Precision], dimension: int, environ: Mapping[str, str]
    ) -> None:
        self._work = work
        self._precisions = precisions
        self._row_bytes = dimension * FLOAT_BYTES
        self._environ = environ

    def run(self, asked: Sequence[Round]) -> None:
        """Compute what is missing of these rounds.

        Raises:
            ChooseError: a precision cannot be computed.
            OSError: the work folder cannot be written.
        """
        total = sum(one.end - one.start for one in asked) * len(self._precisions)
        done = sum(self._done(one, precision) for one in asked for precision in self._precisions)
        progress = Progress(total, done)
        try:
            for one in asked:
                first = one.number % len(self._precisions)
                for precision in (*self._precisions[first:], *self._precisions[:first]):
                    self._turn(one, precision, progress)
        finally:
            progress.close()

    def _done(self, one: Round, precision: Precision) -> int:
        return min(max(self._work.rows(precision) - one.start, 0), one.end - one.start)

    def _turn(self, one: Round, precision: Precision, progress: Progress) -> None:
        texts = one.texts[self._done(one, precision) :]
        if not texts:
            return
        with tempfile.TemporaryFile() as said, self._start(precision, said) as worker:
            try:
                ran = self._collect(worker, Request(list(texts), one.input_type), precision, progress)
            except (EOFError, BrokenPipeError):
                raise self._failure(worker, precision, said) from None
            finally:
                worker.kill()
        spent = self._work.state.rounds.setdefault(precision, {}).setdefault(one.number, Spent())
        spent.texts += len(texts)
        spent.seconds += ran.seconds
        self._work.state.resident[precision] = max(ran.resident, self._work.state.resident.get(precision, 0))
        self._work.save()

    def _start(self, precision: Precision, said: BinaryIO) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "server.choose.worker"],
            env={**os.environ, **self._environ, "QUANTIZATION": precision},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
        )

    def _collect(
        self, worker: "subprocess.Popen[bytes]", request: Request, precision: Precision, progress: Progress
    ) -> Ran:
        """Send the request, keep the vectors as they come, and return the worker's last words."""
        if worker.stdin is None or worker.stdout is None:
            raise EOFError
        worker.stdin.write(msgspec.json.encode(request))
        worker.stdin.close()
        with self._work.appending(precision) as file:
            for start in range(0, len(request.texts), AT_ONCE):
                count = min(AT_ONCE, len(request.texts) - start)
                vectors = worker.stdout.read(count * self._row_bytes)
                if len(vectors) != count * self._row_bytes:
                    raise EOFError
                self._work.keep(file, precision, vectors)
                progress.advance(count, 0)
        last = worker.stdout.read()
        if not last:
            raise EOFError
        return msgspec.json.decode(last, type=Ran)

    def _failure(self, worker: "subprocess.Popen[bytes]", precision: Precision, said: BinaryIO) -> ChooseError:
        status = worker.wait()
        said.seek(0)
        words = said.read(2000).decode(errors="replace").strip()
        killed = " (killed; too little memory?)" if status < 0 else ""
        said_nothing = f"its process ended with status {status}{killed}"
        return ChooseError(f"{precision} could not be computed: {words or said_nothing}. The same command continues")
