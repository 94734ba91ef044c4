"""The context of the current request: its ids, for log lines, and its finished stages, for its trace."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple

from server.errors import ServiceError


class FinishedStage(NamedTuple):
    """A finished stage: its name, its end on time.monotonic(), and its duration in seconds."""

    name: str
    ended: float
    seconds: float


@dataclass(slots=True)
class RequestContext:
    """One request. `started` is on time.monotonic(); `trace_id` is 32 hex digits, or empty outside a trace."""

    request_id: str
    started: float
    trace_id: str = ""
    steps: list[FinishedStage] = field(default_factory=list)


class Answer(NamedTuple):
    """The outcome of a request. `route` is the path of a route, or `other`; `error` is the error returned, if any."""

    method: str
    route: str
    code: int
    seconds: float
    error: ServiceError | None

    @property
    def reason(self) -> str:
        """The error's type, or an empty string."""
        return self.error.error_type if self.error else ""


# Tasks that a request starts inherit it; threads do not.
CURRENT: ContextVar[RequestContext | None] = ContextVar("trail", default=None)
