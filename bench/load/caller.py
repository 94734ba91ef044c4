"""Run loads in a client process and collect their figures."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from bench.load.corpus import Corpus
from bench.load.figures import Figures
from bench.load.load import LoadScenario
from bench.load.service import LoadedService
from bench.process import Worker

_SLACK_S = 60.0


@dataclass(frozen=True)
class Run:
    """The figures of each load, and the CPU seconds of client and service from first request to last response.

    `loop_cpu_s` is the share of the service's event-loop thread in `service_cpu_s`. `idle` counts the idle connections
    that were still open at the end.
    """

    loads: list[Figures]
    seconds: float
    client_cpu_s: float
    service_cpu_s: float
    loop_cpu_s: float
    idle: int

    @property
    def texts(self) -> int:
        """Texts in all successful responses, warm-up included."""
        return sum(figures.answered_texts for figures in self.loads)


class Caller:
    """A client process. A context manager."""

    def __init__(self, corpora: Mapping[str, Corpus]) -> None:
        self._worker = Worker("client", Path(sys.executable), ("bench.load.client",), {})
        try:
            plain = {name: asdict(corpus) for name, corpus in corpora.items()}
            self._worker.ask("learn", _SLACK_S, corpora=plain)
        except BaseException:
            self._worker.close()
            raise

    def run(self, service: LoadedService, *loads: LoadScenario, idle: int = 0) -> Run:
        """Run loads on a service concurrently, with `idle` idle connections open.

        Raises:
            WorkerError: the client or the service failed.
        """
        limit = max(load.delay_s + load.warm_s + load.seconds + load.drain_s for load in loads) + _SLACK_S
        before = service.usage()
        asked = [asdict(load) for load in loads]
        answer = self._worker.ask("run", limit, port=service.port, loads=asked, idle=idle)
        after = service.usage()
        return Run(
            loads=msgspec.convert(answer["loads"], list[Figures]),
            seconds=answer["seconds"],
            client_cpu_s=answer["cpu_s"],
            service_cpu_s=after.cpu_s - before.cpu_s,
            loop_cpu_s=after.loop_cpu_s - before.loop_cpu_s,
            idle=answer["idle"],
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.close()
