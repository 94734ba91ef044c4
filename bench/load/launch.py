"""`python -m bench.load.launch COMMAND ...`: become a service that ends with its parent and may open many files."""

import os
import sys

from bench.conversation import die_with_parent
from bench.load.files import raise_limit


def main() -> None:
    """Replace this process by the command. Linux keeps both settings across that."""
    die_with_parent()
    raise_limit()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the command is the harness's own


if __name__ == "__main__":
    main()
