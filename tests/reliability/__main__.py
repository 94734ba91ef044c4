"""`python -m tests.reliability`: run every row of docs/reliability.md, or some, and write down what was found."""

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench import host
from tests.reliability import page, results
from tests.reliability.evidence import DEFAULT, LONG, SHORT, Sizes
from tests.reliability.outcome import KEPT
from tests.reliability.results import Result
from tests.reliability.row import Row
from tests.reliability.rows import ROWS
from tests.reliability.run import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and report; return 0 if every promise was kept, and 1 if one was broken or not tested."""
    given = parser().parse_args(arguments)
    sizes = chosen_sizes(given)
    before = results.load(given.results)

    def keep(done: Mapping[str, Result]) -> None:
        name, last = list(done.items())[-1]
        print(f"{name}: {last.verdict}: {last.figures} ({last.seconds} s)", flush=True)
        if sizes.name != SHORT.name:
            results.save(given.results, before | dict(done))
            if given.results == results.FILE:
                page.write(page.PAGE, before | dict(done))

    done = run(given.only, sizes, given.seed, machine(), keep)
    broken = [name for name, result in done.items() if result.verdict != KEPT]
    print(f"{len(done) - len(broken)} of {len(done)} kept{': not ' if broken else ''}{', '.join(broken)}", flush=True)
    return int(bool(broken))


def parser() -> argparse.ArgumentParser:
    """Return the command-line parser."""
    out = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    out.add_argument("--only", type=_rows, default=list(ROWS), help="rows, such as F3,L2, or parts, such as F")
    out.add_argument("--seed", type=int, default=1, help="of everything that is left to chance (1)")
    out.add_argument("--runs", type=int, default=0, help="of each seeded test of a fault (20)")
    how = out.add_mutually_exclusive_group()
    how.add_argument("--long", action="store_true", help="a night's run: loads for half an hour, an hour of fuzzing")
    how.add_argument("--short", action="store_true", help="seconds for each row: shows that it runs; writes nothing")
    out.add_argument("--soak", type=_minutes, default=0.0, help="how long the soak lasts, such as 90m or 24h")
    out.add_argument(
        "--results", type=Path, default=results.FILE, help="where results are kept (docs/reliability.json)"
    )
    return out


def chosen_sizes(given: argparse.Namespace) -> Sizes:
    """Return the sizes of the run that the flags ask for."""
    sizes = LONG if given.long else SHORT if given.short else DEFAULT
    sizes = replace(sizes, runs=given.runs or sizes.runs)
    if given.soak:
        sizes = replace(
            sizes, name=f"{sizes.name}, soak {given.soak:g} min", minutes={**sizes.minutes, "soak": given.soak}
        )
    return sizes


def machine() -> str:
    """Describe the machine that the figures are measured on."""
    description = host.describe()
    flags = description["flags"]
    best = f", {', '.join(flags)}" if isinstance(flags, list) and flags else ""
    return f"{description['logical_cpus']} cores{best}"


def _rows(value: str) -> list[Row]:
    wanted = [name.strip().upper() for name in value.split(",") if name.strip()]
    chosen = [row for row in ROWS if row.id in wanted or row.id[0] in wanted]
    unknown = set(wanted) - {row.id for row in ROWS} - {row.id[0] for row in ROWS}
    if unknown or not chosen:
        raise argparse.ArgumentTypeError(f"{value!r}: choose from {', '.join(row.id for row in ROWS)}")
    return chosen


def _minutes(value: str) -> float:
    match = re.fullmatch(r"(\d+)([mh])", value)
    if not match:
        raise argparse.ArgumentTypeError(f"{value!r}: write minutes or hours, such as 90m or 24h")
    return float(match[1]) * (60 if match[2] == "h" else 1)


if __name__ == "__main__":
    raise SystemExit(main())
