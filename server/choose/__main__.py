"""The command `python -m server.choose`: which precision, output type and dimensions are the cheapest within a budget.

Everything is measured on the user's own texts, beside fp32. The verdict goes into the model's manifest, and
QUANTIZATION=chosen serves it. The exit status is 0 if something was chosen, 1 if nothing is within the budget, 2 if
nothing can be said. A run that was killed continues when the same command is given again.
"""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence

from server import secret
from server.choose import asked, verdict
from server.choose.choice import choose
from server.choose.errors import ChooseError
from server.choose.report import ChoiceReport
from server.errors import ServiceError, StartError
from server.migrate.errors import MigrateError
from server.settings import SettingsError
from server.system import process
from server.telemetry import logs

CHOSEN, NOTHING, UNKNOWN = 0, 1, 2
INTERRUPTED = 130
AGAIN = "The same command continues"


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run the command line; return the exit status."""
    secret.remember_given(environ, arguments)
    given = asked.parse(arguments)
    try:
        report = choose(given, environ, _show)
    except KeyboardInterrupt:
        return _fail(INTERRUPTED, f"interrupted. {AGAIN}")
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return _fail(UNKNOWN, f"{name}{error.strerror or error}. {AGAIN}, when that is mended")
    except (ChooseError, MigrateError, SettingsError, StartError, ServiceError) as error:
        # What is read as migrations read it names an option that only they have.
        return _fail(UNKNOWN, str(error).replace(" with --restart", ""))
    return CHOSEN if report.chosen else _fail(NOTHING, _nothing(report))


def _show(lines: Iterable[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _nothing(report: ChoiceReport) -> str:
    best = verdict.nearest(report.measured, report.measure)
    loss = best.losses[report.measure]
    few = (
        f". So few queries leave {report.unseen:.2%} possible though none loses anything: give more, or a larger budget"
        if report.unseen > report.budget
        else ""
    )
    return (
        f"nothing but fp32's whole vectors is within the budget of {report.budget * 100:g} %. The best is "
        f"{best.scheme}: {loss.mean:.2%} of {report.measure} lost, at most {loss.high:.2%}{few}"
    )


def _fail(status: int, words: str) -> int:
    process.write_error("".join(f"choose: {line}\n" for line in secret.scrub(words).splitlines()))
    return status


if __name__ == "__main__":
    logs.configure("text", "warning")
    raise SystemExit(main())
