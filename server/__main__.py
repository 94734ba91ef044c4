"""`python -m server`: the command line."""

import argparse
import os
import textwrap
from collections.abc import Mapping

from server import __version__, secret
from server.errors import START_REFUSED, StartError
from server.lifecycle import exit_cleanly, reserve_port, serve
from server.service.startup import load
from server.settings import SETTINGS, SettingsError, resolve
from server.system import machine, process
from server.telemetry import logs


def main(arguments: list[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run the server until a signal stops it; return the exit status."""
    secret.remember_given(environ, arguments)
    _parse(arguments)
    process.hold_standard_streams()
    machine.share_heap()
    process.on_signals(exit_cleanly)
    try:
        settings = resolve(environ)
        logs.configure(settings.log_format, settings.log_level)
        with reserve_port(settings.host, settings.port) as listener:
            serve(load(settings), listener)
    except (SettingsError, StartError) as error:
        process.write_error("".join(f"cannot start: {line}\n" for line in str(error).splitlines()))
        return START_REFUSED
    finally:
        process.drop_unwritten()
    return 0


def _parse(arguments: list[str] | None) -> None:
    rows = (f"{row.name}={row.default}\n{textwrap.indent(textwrap.fill(row.help, 92), '    ')}" for row in SETTINGS)
    parser = secret.MaskingParser(
        prog="python -m server",
        description="Serve text embeddings over HTTP. Every setting is an environment variable:",
        epilog="\n".join(rows),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
