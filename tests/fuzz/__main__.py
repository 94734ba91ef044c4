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
# Seconds that one input may take.
SLOWEST = 10


def consume(target: Target) -> Callable[[bytes], None]:
    """What atheris calls: it takes no answer but none."""

    def one(data: bytes) -> None:
        target(data)

    return one


def main() -> int:
    """Fuzz in a process of its own until the time is over; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with folder() as place, tempfile.TemporaryDirectory(prefix="corpus-") as corpus:
        # libFuzzer ends its process without Python's last words; the folders are this one's to remove.
        child = os.fork()
        if not child:
            fuzz(given, Path(place), Path(corpus))
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def fuzz(given: argparse.Namespace, place: Path, corpus: Path) -> NoReturn:
    """Drive the target until the time is over; the process ends within."""
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
