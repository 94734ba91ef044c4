"""The command `python -m server.migrate`: a resumable job that embeds a corpus into a file or a vector store."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from server import secret
from server.errors import ServiceError, StartError
from server.migrate import options
from server.migrate.commands import dry_run, ray_job
from server.migrate.commands.compare import check_stored, compare_stores
from server.migrate.commands.dry_run import estimate as estimate_job
from server.migrate.commands.merge import merge
from server.migrate.commands.model import rest_of_verdict, settings_of
from server.migrate.commands.run import AGAIN, migrate
from server.migrate.errors import MigrateError
from server.migrate.job import receipt
from server.migrate.options import Options
from server.settings import SettingsError
from server.system import process
from server.telemetry import logs

DONE = 0
FAILED = 1
INTERRUPTED = 130
VISIBLE = (
    "holds a secret, which every user of this machine can read in the list of processes; leave a password to "
    "PGPASSWORD or ~/.pgpass, and a key to the environment"
)


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run the command line; return the exit status."""
    secret.remember_given(environ, arguments)
    try:
        asked = options.parse(arguments)
        _warn_of_secrets(asked)
        summary, lines = _do(asked, environ)
    except KeyboardInterrupt:
        return _fail(INTERRUPTED, [f"interrupted. {AGAIN}"])
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return _fail(FAILED, [f"{name}{error.strerror or error}. {AGAIN}, when that is mended"])
    except (MigrateError, SettingsError, StartError, ServiceError) as error:
        return _fail(FAILED, secret.scrub(str(error)).splitlines())
    sys.stdout.write(orjson.dumps(summary).decode() + "\n" if asked.json else "".join(f"{line}\n" for line in lines))
    return DONE


def _do(asked: Options, environ: Mapping[str, str]) -> tuple[dict[str, Any], Iterable[str]]:
    if asked.compare_with:
        check_stored(asked.compare_with.reveal())  # a wrong name fails before the work, not after
    made, lines = _make(asked, environ) if asked.input or asked.merge else ({}, [])
    if asked.compare_with and not asked.dry_run:
        comparison = compare_stores(asked.compare_with.reveal(), asked.output.reveal(), journal=asked.journal)
        return {**made, "comparison": asdict(comparison)}, [*lines, *comparison.lines()]
    return made, lines


def _make(asked: Options, environ: Mapping[str, str]) -> tuple[dict[str, Any], Iterable[str]]:
    if asked.merge:
        made = secret.scrubbed(merge(asked))
        return made, receipt.lines(made)
    settings = settings_of(asked, environ)
    process.write_error("".join(f"migrate: {line}\n" for line in rest_of_verdict(asked, settings)))
    if asked.dry_run:
        estimated = estimate_job(asked, settings)
        return estimated, dry_run.lines(estimated)
    made = secret.scrubbed((ray_job.migrate if asked.engine == "ray" else migrate)(asked, settings))
    return made, receipt.lines(made)


def _warn_of_secrets(asked: Options) -> None:
    ends = {"--input": asked.input, "--output": asked.output, "--compare-with": asked.compare_with}
    process.write_error("".join(f"migrate: {flag} {VISIBLE}\n" for flag, where in ends.items() if where.holds_secret()))


def _fail(status: int, lines: Iterable[str]) -> int:
    process.write_error("".join(f"migrate: {line}\n" for line in lines))
    return status


if __name__ == "__main__":
    logs.configure("text", "warning")
    raise SystemExit(main())
