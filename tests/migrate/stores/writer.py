"""`python -m tests.migrate.stores.writer OUTPUT JOURNAL COUNT`: go on writing rows, ten at a time, until killed."""

import sys
from pathlib import Path

from tests.migrate.stores.opening import sink_for
from tests.migrate.stores.rows import rows, target

STEP = 10


def main(output: str, journal: Path, count: int) -> None:
    """Write rows, and after each step how many there are."""
    written = rows(count)
    sink = sink_for(output)
    done = int(journal.read_text())
    sink.open(target(done))
    sys.stdout.write("open\n")
    sys.stdout.flush()
    for start in range(done, count, STEP):
        sink.write(written[start : start + STEP])
        growing = journal.with_suffix(".new")
        growing.write_text(str(start + STEP))
        growing.replace(journal)
    sink.finish()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
