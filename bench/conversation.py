"""The child's side of a conversation with its parent: one JSON object a line, on standard input and output."""

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
    """Who answers."""

    @property
    def operations(self) -> Mapping[str, Callable[..., Answer]]:
        """What can be asked, by name; whatever an operation raises is the answer too."""
        ...


def converse(start: Callable[[], Speaker]) -> int:
    """Serve the parent until it closes the input; `start` is called at the first request."""
    die_with_parent()
    # Libraries print to standard output; the conversation needs it for itself.
    with os.fdopen(os.dup(1), "w", encoding="ascii") as channel:
        os.dup2(2, 1)
        speaker: Speaker | None = None
        for line in sys.stdin:
            try:
                speaker = speaker or start()
                request = json.loads(line)
                answer = speaker.operations[request.pop("op")](**request)
            except Exception as error:  # noqa: BLE001 - whatever a library raises is the answer
                traceback.print_exc()
                answer = {"error": f"{type(error).__name__}: {error}"}
            channel.write(json.dumps(answer) + "\n")
            channel.flush()
    return 0


def die_with_parent() -> None:
    """End when the parent does: one that is killed cannot kill us, and work that hangs never sees the input's end."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
