"""Where a server is in its life. Pure.

starting ──→ ready ⇄ degraded
    └─────────┴────┬────┘
                draining ──→ stopped
"""

from enum import Enum


class Phase(Enum):
    """What the server does for its callers."""

    STARTING = "starting"  # the model is warm, nothing is served yet
    READY = "ready"  # requests are answered
    DEGRADED = "degraded"  # requests are taken, but inference fails, hangs or gives other vectors
    DRAINING = "draining"  # told to stop: requests are answered, on connections that then close
    STOPPED = "stopped"  # no more is admitted; what was ends


STARTING, READY, DEGRADED, DRAINING, STOPPED = Phase


class ServingState:
    """One server's phase. What does not lead out of it changes nothing."""

    def __init__(self) -> None:
        self._phase = STARTING

    @property
    def phase(self) -> Phase:
        """The phase as of the last event."""
        return self._phase

    @property
    def told_to_stop(self) -> bool:
        """Whether readiness is over for good."""
        return self._phase in (DRAINING, STOPPED)

    def begin(self) -> None:
        """Serve, unless the server was told to stop while it started."""
        self._take({STARTING: READY})

    def fail(self) -> None:
        """Inference was seen to fail."""
        self._take({READY: DEGRADED})

    def recover(self) -> None:
        """Inference was seen to work."""
        self._take({DEGRADED: READY})

    def drain(self) -> None:
        """The server was told to stop."""
        self._take({STARTING: DRAINING, READY: DRAINING, DEGRADED: DRAINING})

    def stop(self) -> None:
        """Nothing more comes, or there is no more time for it."""
        self._take(dict.fromkeys(Phase, STOPPED))

    def _take(self, ways: dict[Phase, Phase]) -> None:
        self._phase = ways.get(self._phase, self._phase)
