"""Read flow control that limits how much pipelined data is buffered."""

import asyncio
from collections.abc import Collection

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class PipelineFlow(FlowControl):
    """uvicorn's flow control, with a limit on pipelined bodies.

    uvicorn resumes reading whenever an application receives. One that waits for a disconnect does so too, and pipelined
    requests would be buffered without limit.
    """

    def __init__(self, transport: asyncio.Transport, ahead: Collection[tuple[RequestResponseCycle, object]]) -> None:
        """`ahead` is a live view of the pipelined requests."""
        super().__init__(transport)
        self._ahead = ahead

    @property
    def ahead_bytes(self) -> int:
        """Buffered body bytes of pipelined requests."""
        return sum(len(cycle.body) for cycle, _ in self._ahead)

    def resume_reading(self) -> None:
        """Resume reading, unless pipelined bodies exceed uvicorn's high-water mark for one body."""
        if self.ahead_bytes <= HIGH_WATER_LIMIT:
            super().resume_reading()
