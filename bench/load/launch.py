"""`python -m bench.load.launch COMMAND ...`: run a service that dies with its parent, with a raised file limit."""

import os
import sys

from bench.conversation import die_with_parent
from bench.load.files import raise_limit


def main() -> None:
    """Exec the command. Linux preserves both settings across exec."""
    die_with_parent()
    raise_limit()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the command is the harness's own


if __name__ == "__main__":
    main()
