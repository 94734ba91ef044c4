"""The worker's side of the protocol with its parent: one JSON object per line on standard input and output."""

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bench.launch import die_with_parent

Answer = dict[str, Any]


class RequestHandler(Protocol):
    """Handles requests."""

    @property
    def operations(self) -> Mapping[str, Callable[..., Answer]]:
        """Operations by name; an exception becomes an error response."""
        ...


def converse(start: Callable[[], RequestHandler]) -> int:
    """Serve requests until the parent closes standard input; `start` is called at the first request."""
    die_with_parent()
    # Libraries print to standard output, so keep it for the protocol and send theirs to standard error.
    with os.fdopen(os.dup(1), "w", encoding="ascii") as channel:
        os.dup2(2, 1)
        handler: RequestHandler | None = None
        for line in sys.stdin:
            try:
                handler = handler or start()
                request = json.loads(line)
                answer = handler.operations[request.pop("op")](**request)
            except Exception as error:  # noqa: BLE001 - any library error is reported to the parent
                traceback.print_exc()
                answer = {"error": f"{type(error).__name__}: {error}"}
            channel.write(json.dumps(answer) + "\n")
            channel.flush()
    return 0
