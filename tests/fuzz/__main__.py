"""`python -m tests.fuzz TARGET --seconds 60 --seed 1`: drive a target with atheris (libFuzzer), in .venv-fuzz.

The last line says how many inputs there were. The status is not 0 where one was neither taken nor refused in order; the
input is then in a file whose name is printed, and its bytes too.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import atheris

with atheris.instrument_imports(include=["server", "msgspec"]):
    from tests.fuzz.targets import TARGETS, Target, folder

LONGEST = 16_384
# Timeout for one input in seconds.
SLOWEST = 10


def consume(target: Target) -> Callable[[bytes], None]:
    """Adapt a target to atheris, whose callback must return None."""

    def one(data: bytes) -> None:
        target(data)

    return one


def main() -> int:
    """Fuzz in a child process for the given time; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with folder() as place, tempfile.TemporaryDirectory(prefix="corpus-") as corpus:
        # libFuzzer exits without running Python's cleanup, so the parent removes the folders.
        child = os.fork()
        if not child:
            fuzz(given, Path(place), Path(corpus))
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def fuzz(given: argparse.Namespace, place: Path, corpus: Path) -> NoReturn:
    """Fuzz the target for the given time; libFuzzer ends the process."""
    target = TARGETS[given.target](place)
    for number, example in enumerate(target.examples()):
        (corpus / str(number)).write_bytes(example)
    flags = [f"-max_total_time={given.seconds}", f"-seed={given.seed}", f"-max_len={LONGEST}"]
    flags += [f"-timeout={SLOWEST}", "-rss_limit_mb=2048", f"-artifact_prefix={tempfile.gettempdir()}/fuzz-"]
    atheris.Setup([sys.argv[0], *flags, str(corpus)], consume(target))
    atheris.Fuzz()
    os._exit(0)


if __name__ == "__main__":
    raise SystemExit(main())
