"""`python -m server.migrate.environment INPUT OUTPUT FORMAT` prints which of the Makefile's environments a job needs.

Standard library only: it runs before any environment exists.
"""

import sys
from collections.abc import Iterable

from server.migrate.stores.registry import STORES, is_address

RUNTIME, CLIENTS = ".venv", ".venv-stores"
# File formats that need libraries outside the runtime environment.
FORMATS = ("parquet", "faiss")
SUFFIXES = (".parquet", ".faiss", ".zst", ".zstd")


def environment(words: Iterable[str]) -> str:
    """Return the environment for a job's input, output and format, in any order; empty words are ignored."""
    return CLIENTS if any(map(_needs_clients, words)) else RUNTIME


def _needs_clients(word: str) -> bool:
    return is_address(word) or word in STORES or word in FORMATS or word.lower().endswith(SUFFIXES)


if __name__ == "__main__":
    sys.stdout.write(f"{environment(sys.argv[1:])}\n")
