"""When a connection is read: not while much that was sent ahead waits for its turn."""

import asyncio
from collections.abc import Collection

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class Reading(FlowControl):
    """uvicorn's flow control, which reads on whenever an application asks for more of its own request.

    One that waits for its caller to hang up asks too, and so whatever is sent ahead would be taken into memory.
    """

    def __init__(self, transport: asyncio.Transport, ahead: Collection[tuple[RequestResponseCycle, object]]) -> None:
        """`ahead` holds the requests that wait for their turn, as it is at any time."""
        super().__init__(transport)
        self._ahead = ahead

    @property
    def ahead_bytes(self) -> int:
        """How much has come of the bodies whose turn has not."""
        return sum(len(cycle.body) for cycle, _ in self._ahead)

    def resume_reading(self) -> None:
        """Read on, unless so much waits as uvicorn takes of one body before it is asked for."""
        if self.ahead_bytes <= HIGH_WATER_LIMIT:
            super().resume_reading()
