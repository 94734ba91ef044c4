"""Start a service, ours or a peer's, wait until it is ready, monitor and stop it."""

import http.client
import re
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from bench.load import usage
from bench.load.call import HOST, ONE, Dialect
from bench.load.usage import ProcessUsage
from bench.process import Child, WorkerError

START_S = 300.0
_STOP_S = 20.0
_POLL_S = 0.02
_ASK_S = 30.0
_COMPUTED_TOKENS = "embedding_useful_tokens_total"


@dataclass(frozen=True)
class ServiceCommand:
    """How to start and query a service. `{port}` in arguments and environment is replaced by its port."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    dialect: Dialect = ONE


class LoadedService(Child):
    """A service on a local port. A context manager.

    `ready_s` is the time to the first successful response, `early` the number of other responses before it.
    """

    def __init__(self, command: ServiceCommand) -> None:
        """Start the service and wait until it embeds a text.

        Raises:
            WorkerError: the service cannot be started, exits, or is not ready in time.
        """
        self.dialect, self.port = command.dialect, _free_port()
        self.ready_s, self.early = 0.0, 0
        arguments = [sys.executable, "-m", "bench.launch", *(self._filled(part) for part in command.arguments)]
        environment = {name: self._filled(value) for name, value in command.environment.items()}
        super().__init__(command.name, arguments, environment, None)
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def usage(self) -> ProcessUsage:
        """Return the resources used so far.

        Raises:
            WorkerError: the service has exited.
        """
        if not self.running:
            raise self.end()
        return usage.measure(self.pid)

    def info(self) -> dict[str, Any]:
        """Return the response of GET /info.

        Raises:
            WorkerError: the request failed, or the response is not JSON.
        """
        try:
            return msgspec.json.decode(self._ask("GET", "/info")[1], type=dict[str, Any])
        except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
            raise WorkerError(f"{self.name}: GET /info failed: {error}") from None

    def computed_tokens(self) -> float:
        """Return the number of tokens computed, from GET /metrics; 0 if not available."""
        with suppress(OSError, http.client.HTTPException):
            told = self._ask("GET", "/metrics")[1].decode("utf-8", "replace")
            if counter := re.search(rf"^{_COMPUTED_TOKENS}(?:\{{[^}}]*\}})? (\S+)$", told, re.MULTILINE):
                return float(counter[1])
        return 0.0

    def close(self, grace_s: float = _STOP_S) -> None:
        """Send SIGTERM, then SIGKILL to the process group after a grace period."""
        if self.running:
            self._process.terminate()
        super().close(grace_s)

    def _wait(self) -> None:
        started = time.monotonic()
        while not self._answers():
            if not self.running:
                raise self.end()
            if time.monotonic() > started + START_S:
                raise WorkerError(f"{self.name}: did not answer within {START_S:g} s{self.last_line()}")
            time.sleep(_POLL_S)
        self.ready_s = time.monotonic() - started

    def _answers(self) -> bool:
        body = f"{self.dialect.before}warm{self.dialect.after}"
        try:
            good = self._ask("POST", self.dialect.path, body)[0] == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        self.early += not good
        return good

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=_ASK_S)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _filled(self, part: str) -> str:
        return part.replace("{port}", str(self.port))


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        port: int = taken.getsockname()[1]
        return port
