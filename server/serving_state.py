"""The server's lifecycle as a state machine. Pure.

starting ──→ ready ⇄ degraded
    └─────────┴────┬────┘
                draining ──→ stopped
"""

from enum import Enum


class Phase(Enum):
    """A state of the server's lifecycle."""

    STARTING = "starting"  # the model is warm, requests are not served yet
    READY = "ready"  # requests are answered
    DEGRADED = "degraded"  # requests are accepted, but inference fails, hangs or returns wrong vectors
    DRAINING = "draining"  # stopping: requests are answered, then their connections close
    STOPPED = "stopped"  # requests are no longer admitted; admitted ones end


STARTING, READY, DEGRADED, DRAINING, STOPPED = Phase


class ServingState:
    """The current phase. Events without a transition from it are ignored."""

    def __init__(self) -> None:
        self._phase = STARTING

    @property
    def phase(self) -> Phase:
        """The current phase."""
        return self._phase

    @property
    def stopping(self) -> bool:
        """Whether shutdown has begun."""
        return self._phase in (DRAINING, STOPPED)

    def begin(self) -> None:
        """Become ready, unless shutdown began during start."""
        self._take({STARTING: READY})

    def fail(self) -> None:
        """Record that inference failed."""
        self._take({READY: DEGRADED})

    def recover(self) -> None:
        """Record that inference works."""
        self._take({DEGRADED: READY})

    def drain(self) -> None:
        """Begin the shutdown: serve on until `stop`."""
        self._take({STARTING: DRAINING, READY: DRAINING, DEGRADED: DRAINING})

    def stop(self) -> None:
        """Admit no more requests."""
        self._take(dict.fromkeys(Phase, STOPPED))

    def _take(self, ways: dict[Phase, Phase]) -> None:
        self._phase = ways.get(self._phase, self._phase)
