"""The command `python -m server.verify`: whether vectors are of the embedding space that they are said to be of.

A store or file is held to its own texts, embedded again by the model of the settings or by a server; two servers, to
each other. The exit status is 0 if they agree, 1 if they do not, 2 if nothing can be said.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from server import __version__, secret
from server.errors import ServiceError, StartError
from server.migrate.errors import MigrateError
from server.migrate.options import OVERRIDES
from server.secret import MaskingParser
from server.service.embed_request import PROMPTS_OF
from server.settings import QUANTIZATIONS, SettingsError, resolve
from server.system import process
from server.telemetry import logs
from server.verify import texts
from server.verify.embedders import Embeds, LocalModel, RemoteServer
from server.verify.errors import VerifyError
from server.verify.servers import ServersVerdict, verify_servers
from server.verify.store import StoreVerdict, verify_store

RIGHT, WRONG, UNKNOWN = 0, 1, 2
INTERRUPTED = 130
SAMPLE, LARGEST = 200, 2000


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run the command line; return the exit status."""
    secret.remember_given(environ, arguments)
    given = parser().parse_args(arguments)
    try:
        verdict = _verify(given, environ)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (VerifyError, MigrateError, SettingsError, StartError, ServiceError, OSError) as error:
        process.write_error("".join(f"verify: {line}\n" for line in secret.scrub(str(error)).splitlines()))
        return UNKNOWN
    status = RIGHT if verdict.right else WRONG
    whole = json.dumps({"verdict": "right" if verdict.right else "wrong", **asdict(verdict)})
    sys.stdout.write(f"{whole}\n" if given.json else "".join(f"{line}\n" for line in verdict.lines()))
    return status


def _verify(given: argparse.Namespace, environ: Mapping[str, str]) -> StoreVerdict | ServersVerdict:
    if given.other and not is_url(given.other):
        raise VerifyError("the second argument is a server's URL; two stores: `server.migrate --compare-with`")
    asked = {name.upper(): value for name in OVERRIDES if (value := getattr(given, name))}
    other = _embeds(given.other, {**environ, **asked})
    if not is_url(given.target):
        return verify_store(given.target, other, given.sample, given.input_type)
    chosen = texts.read(given.texts, given.sample) if given.texts else texts.made(given.sample)
    if len(chosen) < 2:
        raise VerifyError("servers are compared on two texts or more")
    return verify_servers(_embeds(given.target, environ), other, chosen)


def _embeds(url: str | None, environ: Mapping[str, str]) -> Embeds:
    return RemoteServer(url, environ.get("API_KEY", "")) if url else LocalModel(resolve(environ))


def is_url(text: str) -> bool:
    """Return whether `text` is the address of a server, rather than of a store or file."""
    return text.lower().startswith(("http://", "https://"))


def parser() -> argparse.ArgumentParser:
    """Return the command-line parser."""
    out = MaskingParser(prog="python -m server.verify", description=__doc__, allow_abbrev=False)
    out.add_argument("--version", action="version", version=__version__)
    add = out.add_argument
    add("target", metavar="STORE|FILE|URL", help="a store's address, a file that a migration wrote, or a server")
    add("other", nargs="?", metavar="URL", help="the server that embeds again (default: the model of the settings)")
    add("--sample", type=_size, default=SAMPLE, metavar="N", help=f"rows or texts to compare (default: {SAMPLE})")
    add("--input-type", choices=list(PROMPTS_OF), default="document", help="which prompt a store's texts were given")
    add("--texts", type=Path, metavar="FILE", help="texts to compare servers on, one a line")
    add("--model", help="MODEL")
    add("--models-dir", help="MODELS_DIR")
    add("--threads", help="THREADS")
    add("--quantization", choices=QUANTIZATIONS, help="QUANTIZATION")
    add("--json", action="store_true", help="print the verdict as JSON")
    return out


def _size(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or not 2 <= int(text[:9]) <= LARGEST:
        raise argparse.ArgumentTypeError(f"must be a whole number from 2 to {LARGEST}")
    return int(text)


if __name__ == "__main__":
    logs.configure("text", "warning")
    raise SystemExit(main())
