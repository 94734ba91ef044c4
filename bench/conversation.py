"""The worker's side of the protocol with its parent: one JSON object per line on standard input and output."""

import ctypes
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Protocol

Answer = dict[str, Any]
_PR_SET_PDEATHSIG = 1


class Speaker(Protocol):
    """Handles requests."""

    @property
    def operations(self) -> Mapping[str, Callable[..., Answer]]:
        """Operations by name; an exception becomes an error response."""
        ...


def converse(start: Callable[[], Speaker]) -> int:
    """Serve requests until the parent closes standard input; `start` is called at the first request."""
    die_with_parent()
    # Libraries print to standard output, so keep it for the protocol and send theirs to standard error.
    with os.fdopen(os.dup(1), "w", encoding="ascii") as channel:
        os.dup2(2, 1)
        speaker: Speaker | None = None
        for line in sys.stdin:
            try:
                speaker = speaker or start()
                request = json.loads(line)
                answer = speaker.operations[request.pop("op")](**request)
            except Exception as error:  # noqa: BLE001 - any library error is reported to the parent
                traceback.print_exc()
                answer = {"error": f"{type(error).__name__}: {error}"}
            channel.write(json.dumps(answer) + "\n")
            channel.flush()
    return 0


def die_with_parent() -> None:
    """Ask the kernel to kill this process with its parent: a hung worker would not see end of input."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
