"""The command-line options of a migration, all validated before anything is opened."""

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from server import __version__
from server.migrate import inputs as sources
from server.migrate import outputs as sinks
from server.migrate.errors import MigrateError
from server.migrate.pipeline.chunk import Chunking
from server.migrate.pipeline.shard import Shard
from server.migrate.pipeline.window import Bounds
from server.migrate.stores.registry import is_address, store_of
from server.model.output_types import FLOAT, OUTPUT_NAMES, OutputName
from server.secret import MASK, Location, MaskingParser, mask
from server.service.embed_request import PROMPTS_OF
from server.settings import QUANTIZATIONS

OVERRIDES = ("model", "models_dir", "quantization", "threads")
URL = re.compile(r"[a-z][a-z0-9+.-]*:/", re.IGNORECASE)
# A user and password before a host, as scp and some clients take them.
LOGIN = re.compile(r"([^/:]+):[^/]*@")
FIELDS = ("text_field", "id_field", "metadata_fields")
DESCRIPTION = """Embed every text of a file, a folder or a store into a file or a store.

A job that was interrupted goes on when the same command is run again. Flags that are not given come from the
server's settings (python -m server --help), such as DEVICE and MAX_BATCH_TOKENS."""


@dataclass(frozen=True, slots=True)
class Options:
    """The parsed flags. `settings` are those that override a setting of the server."""

    input: Location
    output: Location
    format: str
    input_format: str | None
    fields: dict[str, str]
    settings: dict[str, str]
    input_type: str | None
    prompt_name: str | None
    dimensions: int | None
    output_dtype: OutputName
    on_error: Literal["fail", "skip"]
    rejects: Location
    dedupe: bool
    chunk: Chunking | None
    window: int
    shard: Shard
    journal: Path | None
    restart: bool
    dry_run: bool
    price_per_hour: float | None
    merge: tuple[Location, ...]
    compare_with: Location
    engine: Literal["local", "ray"]
    json: bool

    @property
    def bounds(self) -> Bounds:
        """The limits of one window."""
        return Bounds(records=self.window)

    def decisive(self) -> dict[str, str]:
        """The options that determine the result besides input, model and target, as the journal records them."""
        chunk = f"{self.chunk.tokens}:{self.chunk.overlap}" if self.chunk else "no"
        fields = {name.replace("_", " "): value for name, value in self.fields.items()}
        return {
            **fields,
            "dimensions": str(self.dimensions or "all"),
            "chunk": chunk,
            "dedupe": "yes" if self.dedupe else "no",
            "window": str(self.window),
            "shard": str(self.shard),
        }

    def folder(self, target: str) -> Path:
        """The journal's folder: beside an output file; for a store, named after its identity `target`."""
        if self.journal:
            return self.journal
        output = self.output.reveal()
        if not is_address(output) and "://" not in output:
            return job_folder(output)
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", target).strip("-.")[:60]
        return Path(".migrate") / f"{name}-{sha256(target.encode()).hexdigest()[:8]}"

    def place(self, target: str) -> str:
        """What is written to, whatever its format: a file's path, or the identity `target` of a store."""
        output = self.output.reveal()
        return target if is_address(output) or "://" in output else str(Path(output).resolve())


def job_folder(output: str) -> Path:
    """Return the journal's folder for an output file."""
    path = Path(output)
    if path.name in ("", ".."):
        raise MigrateError(f"--output {output}: must name a file, or a folder to be made")
    return path.with_name(f"{path.name}.migrate")


def parse(arguments: Sequence[str] | None) -> Options:
    """Parse the command line; argparse ends the process if a flag is unknown or lacks its value.

    Raises:
        MigrateError: flags contradict each other, or a value cannot be used.
    """
    given = vars(_parser().parse_args(arguments))
    fields = {name: given.pop(name) for name in FIELDS}
    settings = {name.upper(): given.pop(name) for name in OVERRIDES}
    merge = tuple(map(Location, given.pop("merge") or ()))
    if bool(given["input"]) == bool(merge) and (merge or not given["compare_with"]):
        raise MigrateError("say either --input, what to embed, or --merge, which shards to unite")
    if given["dry_run"] and not given["output"]:
        given["output"] = "embeddings.npy"
    if not given["output"]:
        raise MigrateError("--output is missing: a file's name, or a store's address")
    for flag in ("input", "output", "compare_with", "rejects", "journal"):
        _check_place(flag, str(given[flag] or ""), given)
    given["format"] = given["format"] or sinks.guess(given["output"])
    given["chunk"] = Chunking.parse(given["chunk"]) if given["chunk"] else None
    given["shard"] = Shard.parse(given["shard"])
    _check(given)
    given["output_dtype"] = given["output_dtype"] or FLOAT.name
    sinks.check_type(given["format"], given["output_dtype"])
    given |= {name: Location(given[name]) for name in ("input", "output", "rejects", "compare_with")}
    return Options(
        **given,
        merge=merge,
        fields={name: value for name, value in fields.items() if value},
        settings={name: value for name, value in settings.items() if value},
    )


def _check(given: Mapping[str, Any]) -> None:
    """Fail early on errors that would otherwise show only at the end."""
    if given["shard"].count > 1 and given["format"] not in sinks.READABLE:
        raise MigrateError(
            f"--shard writes files ({', '.join(sinks.READABLE)}), which --merge unites in a file or a store; "
            f"--format {given['format']} is none of them"
        )
    if given["output_dtype"] and not given["input"]:
        raise MigrateError("--output-dtype goes with --input; --merge keeps the type of its shards")
    rejects = given["rejects"]
    if rejects and given["engine"] == "local" and not Path(rejects).resolve().parent.is_dir():
        raise MigrateError(f"--rejects {rejects}: there is no folder {Path(rejects).parent}; make it first")


def _check_place(flag: str, where: str, given: Mapping[str, Any]) -> None:
    """Refuse a file name that may contain a secret or is not UTF-8: names are shown and stored."""
    formats = {"input": "input_format", "output": "format", "compare_with": ""}
    if is_address(where) and flag in formats:
        if (named := given.get(formats[flag])) not in (None, store_of(where)):
            raise MigrateError(f"--{flag} is the address of {store_of(where)}, which is not of the format {named}")
    elif where and given["engine"] == "local":
        _check_name(f"--{flag.replace('_', '-')}", where)


def _check_name(flag: str, where: str) -> None:
    login = LOGIN.match(where) if mask(where) == where else None
    if login or is_address(where) or URL.match(where) or mask(where) != where:
        shown = f"{login[1]}:{MASK}" if login else mask(where)
        raise MigrateError(
            f"{flag} {shown}: neither the address of a store that is known nor a file; "
            "if it is one, write its name as ./NAME"
        )
    try:
        str(Path(where).resolve()).encode()
    except UnicodeEncodeError:
        raise MigrateError(
            f"{flag} {where!a}: its path is not read as UTF-8; rename it, or set a UTF-8 locale or PYTHONUTF8=1"
        ) from None


def _parser() -> argparse.ArgumentParser:
    parser = MaskingParser(
        prog="python -m server.migrate",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=__version__)
    _add_ends(parser.add_argument_group("what goes in and out"))
    _add_model(parser.add_argument_group("the model (default: the server's settings)"))
    _add_way(parser.add_argument_group("the way"))
    return parser


def _add_ends(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--input", default="", metavar="WHERE", help="file, folder or address of a store; gzip and zstd are read as is")
    add("--output", default="", metavar="WHERE", help="file or address of a store")
    add("--format", choices=list(sinks.MODULES), help="of the output; default: what --output says")
    add("--input-format", choices=list(sources.MODULES), help="default: what --input says")
    add("--text-field", metavar="NAME", help="field or column of the text (default: text)")
    add("--id-field", metavar="NAME", help="field or column of the id (default: id where there is one, else the row)")
    add("--metadata-fields", metavar="NAMES", help="fields to carry along, separated by commas")
    add("--on-error", choices=("fail", "skip"), default="fail", help="what a row does that cannot be embedded")
    add("--rejects", default="", metavar="FILE", help="copy the list of skipped rows there at the end")
    add("--compare-with", default="", metavar="OLD", help="say how neighbours differ between OLD and --output")
    add("--merge", nargs="+", metavar="SHARD", help="unite the finished outputs of all shards in --output")


def _add_model(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--model", help="MODEL")
    add("--models-dir", help="MODELS_DIR")
    add("--quantization", choices=QUANTIZATIONS, help="QUANTIZATION")
    add("--threads", help="THREADS")
    add("--input-type", choices=list(PROMPTS_OF), help="which prompt to put before each text (default: document)")
    add("--prompt-name", metavar="NAME", help="the prompt by its name")
    add("--dimensions", type=int, metavar="N", help="keep the first N components and normalise again")
    add("--output-dtype", choices=OUTPUT_NAMES, metavar="TYPE", help=f"{', '.join(OUTPUT_NAMES)} (default: float)")


def _add_way(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--dedupe", action=argparse.BooleanOptionalAction, default=True, help="embed equal texts once (default: yes)")
    add("--chunk", default="", metavar="TOKENS:OVERLAP", help="cut texts into chunks instead of truncating them")
    add("--window", type=_records, default=Bounds().records, metavar="N", help="rows between two journal entries")
    add("--shard", default="1/1", metavar="I/N", help="take every N-th row, from the I-th on")
    add("--engine", choices=("local", "ray"), default="local", help="ray: Parquet to Parquet on a Ray cluster")
    add("--journal", type=Path, metavar="FOLDER", help="where to keep the journal (default: beside the output)")
    add("--restart", action="store_true", help="forget what an earlier run did, and replace what it wrote")
    add("--dry-run", action="store_true", help="count, measure and estimate; write nothing")
    add("--price-per-hour", type=float, metavar="PRICE", help="of this machine, for the estimate of --dry-run")
    add("--json", action="store_true", help="print the summary as JSON")


def _records(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,7}", text) or not int(text):
        raise argparse.ArgumentTypeError("must be a whole number from 1 to 9999999")
    return int(text)
