"""Run a worker process: requests with a timeout, and guaranteed termination."""

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
    """A worker failed, died or timed out; the message includes its last line of standard error."""


class Worker:
    """A child process that answers requests. A context manager.

    `program` is a module that uses `bench.conversation`, and its arguments.
    """

    def __init__(self, name: str, python: Path, program: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the process; it loads nothing before the first request.

        Raises:
            WorkerError: `python` cannot be started.
        """
        self.name = name
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        try:
            self._process = subprocess.Popen(
                [str(python), "-m", *program],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                start_new_session=True,
            )
        except OSError as error:
            self._stderr.close()
            raise WorkerError(f"{name}: {python} cannot be started: {error.strerror}") from None
        self._requests = cast(IO[bytes], self._process.stdin)
        self._answers = cast(IO[bytes], self._process.stdout)
        self._unread = b""

    def ask(self, op: str, timeout_s: float, **fields: object) -> dict[str, Any]:
        """Send one request and return its response.

        Raises:
            WorkerError: the worker returned an error, died, or exceeded `timeout_s` and was killed.
        """
        self._send({"op": op, **fields})
        line = self._receive(op, time.monotonic() + timeout_s, timeout_s)
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

    def close(self) -> None:
        """Close the worker's input and kill it if it does not exit within the grace period; idempotent."""
        with suppress(BrokenPipeError):
            self._requests.close()
        self._end(_GRACE_S)
        self._answers.close()
        self._stderr.close()

    def kill(self) -> None:
        """Kill the worker's process group."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, request: dict[str, object]) -> None:
        try:
            self._requests.write(json.dumps(request).encode() + b"\n")
            self._requests.flush()
        except (BrokenPipeError, ValueError):
            raise WorkerError(f"{self.name}: {self._exit_reason()}") from None

    def _receive(self, op: str, deadline: float, timeout_s: float) -> bytes:
        stream = self._answers.fileno()
        pieces = [self._unread]
        while b"\n" not in pieces[-1]:
            if not select.select([stream], [], [], max(0.0, deadline - time.monotonic()))[0]:
                self.kill()
                raise WorkerError(f"{self.name}: `{op}` took longer than {timeout_s:g} s and was killed")
            pieces.append(os.read(stream, _CHUNK))
            if not pieces[-1]:
                raise WorkerError(f"{self.name}: {self._exit_reason()}")
        line, _, self._unread = b"".join(pieces).partition(b"\n")
        return line

    def _exit_reason(self) -> str:
        self._end(_GRACE_S)
        status = self._process.returncode
        if status == -signal.SIGKILL:
            return f"was killed (out of memory?){self._last_output()}"
        end = f"died of {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return f"{end}{self._last_output()}"

    def _end(self, grace_s: float) -> None:
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def _last_output(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        return f"; its last line: {lines[-1].strip()}" if lines else ""

    def _cpu_ticks(self) -> int:
        try:
            stat = Path(f"/proc/{self._process.pid}/stat").read_text("ascii", "replace")
        except OSError:
            return 0
        user, system = stat.rpartition(")")[2].split()[11:13]
        return int(user) + int(system)
