"""Run child processes: an error says how one ended, and none is left behind."""

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

ROOT = Path(__file__).resolve().parents[1]
_GRACE_S = 2.0
_CHUNK = 1 << 20
# Threads may spin after a run (OpenMP's for 0.2 s): the worker is idle once its CPU time is constant for a window.
_QUIET_WINDOW_S = 0.04
_QUIET_LIMIT_S = 0.5


class WorkerError(Exception):
    """A child process failed, died or timed out; the message includes its last line of output."""


class Child:
    """A process in a group of its own; what it prints is kept for errors. A context manager."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], pipe: int | None) -> None:
        """Start `command`, with standard input and output connected to `pipe`, or to nothing if that is None.

        Raises:
            WorkerError: it cannot be started.
        """
        self.name = name
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        try:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=pipe or subprocess.DEVNULL,
                stdout=pipe or self._printed,
                stderr=self._printed,
                start_new_session=True,
            )
        except OSError as error:
            self._printed.close()
            raise WorkerError(f"{name}: {command[0]} cannot be started: {error.strerror}") from None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill the process group."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def close(self, grace_s: float = _GRACE_S) -> None:
        """Kill the process group if the process does not exit within `grace_s`; idempotent."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_s)
        self.kill()
        self._printed.close()

    def end(self) -> WorkerError:
        """Wait until the process has ended, or kill it; return the error that says how it ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_S)
        self.kill()
        status = self._process.returncode
        if status == -signal.SIGKILL:
            how = "was killed (out of memory?)"
        else:
            how = f"died of {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return WorkerError(f"{self.name}: {how}{self.last_line()}")

    def last_line(self) -> str:
        """Return the last line printed, for an error."""
        self._printed.seek(0)
        lines = self._printed.read().decode("utf-8", "replace").strip().splitlines()
        return f"; its last line: {lines[-1].strip()}" if lines else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Worker(Child):
    """A Python program that answers requests: a module that uses `bench.conversation`, and its arguments."""

    def __init__(self, name: str, python: Path, program: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the process; it loads nothing before the first request.

        Raises:
            WorkerError: `python` cannot be started.
        """
        super().__init__(name, [str(python), "-m", *program], environment, subprocess.PIPE)
        self._requests = cast(IO[bytes], self._process.stdin)
        self._answers = cast(IO[bytes], self._process.stdout)
        self._unread = b""

    def ask(self, op: str, timeout_s: float, **fields: object) -> dict[str, Any]:
        """Send one request and return its response.

        Raises:
            WorkerError: the worker returned an error, died, or exceeded `timeout_s` and was killed.
        """
        self._send({"op": op, **fields})
        line = self._receive(op, timeout_s)
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            self.kill()
            raise WorkerError(f"{self.name}: `{op}` was answered with something that is not JSON") from None
        if "error" in answer:
            raise WorkerError(f"{self.name}: `{op}` failed: {answer['error']}")
        return answer

    def settle(self) -> None:
        """Wait until the worker stops using CPU, for at most half a second."""
        limit = time.monotonic() + _QUIET_LIMIT_S
        before, now = -1, self._cpu_ticks()
        while before != now and time.monotonic() < limit:
            time.sleep(_QUIET_WINDOW_S)
            before, now = now, self._cpu_ticks()

    def close(self, grace_s: float = _GRACE_S) -> None:
        """Close the worker's input, which ends it."""
        with suppress(BrokenPipeError):
            self._requests.close()
        super().close(grace_s)
        self._answers.close()

    def _send(self, request: dict[str, object]) -> None:
        try:
            self._requests.write(json.dumps(request).encode() + b"\n")
            self._requests.flush()
        except (BrokenPipeError, ValueError):
            raise self.end() from None

    def _receive(self, op: str, timeout_s: float) -> bytes:
        stream, deadline = self._answers.fileno(), time.monotonic() + timeout_s
        pieces = [self._unread]
        while b"\n" not in pieces[-1]:
            if not select.select([stream], [], [], max(0.0, deadline - time.monotonic()))[0]:
                self.kill()
                raise WorkerError(f"{self.name}: `{op}` took longer than {timeout_s:g} s and was killed")
            pieces.append(os.read(stream, _CHUNK))
            if not pieces[-1]:
                raise self.end()
        line, _, self._unread = b"".join(pieces).partition(b"\n")
        return line

    def _cpu_ticks(self) -> int:
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text("ascii", "replace")
        except OSError:
            return 0
        user, system = stat.rpartition(")")[2].split()[11:13]
        return int(user) + int(system)
