"""`python -m bench.launch COMMAND ...`: run a program that dies with its parent, with a raised limit of open files."""

import ctypes
import os
import signal
import sys

from server.system.process import raise_file_limit

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel to kill this process with its parent: a hung worker would not see end of input."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Exec the command. Linux preserves both settings across exec."""
    die_with_parent()
    raise_file_limit()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the command is the harness's own


if __name__ == "__main__":
    main()
