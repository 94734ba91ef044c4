"""The receipt of a finished job: what was requested, done and verified, with the hashes of the files written."""

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy
import onnxruntime
import orjson
import tokenizers

from server import __version__
from server.migrate.errors import MigrateError
from server.migrate.job import journal
from server.migrate.job.journal import DTYPE, SCALE, SPACE, Header, JournalEntry
from server.migrate.job.verify import Verified
from server.migrate.ownership import owned_files
from server.migrate.sinks.file import FileSink
from server.migrate.sinks.sink import Sink
from server.model.artifact import sha256
from server.model.output_types import FLOAT
from server.service.output import Output

Receipt = dict[str, Any]
COUNTED = ("records", "embedded", "rejected", "rows", "tokens", "truncated", "repeated")


class DescribedFile(msgspec.Struct):
    """A file that a receipt describes."""

    name: str
    sha256: str


class ReceiptFields(msgspec.Struct):
    """The parts of a receipt that are read back."""

    job: dict[str, str]
    counts: dict[str, int | None]
    verified: dict[str, float | None]
    files: list[DescribedFile]
    seconds: float


def now() -> str:
    """Return the current time in UTC (ISO 8601)."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def compose(header: Header, entry: JournalEntry, verified: Verified, sink: Sink) -> Receipt:
    """Build the receipt of a job, with the hashes of the files it wrote."""
    return {
        "job": header.job,
        "counts": {name: getattr(entry, name) for name in COUNTED} | {"input": header.records},
        "verified": {
            "rows": verified.rows,
            "sample": verified.sample,
            "least_cosine": None if verified.least_cosine is None else round(verified.least_cosine, 8),
        },
        "files": files(sink) if isinstance(sink, FileSink) else [],
        "batch_tokens": header.batch_tokens,
        "seconds": round(entry.seconds, 3),
        "started": header.started,
        "finished": now(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of the software that determines the vectors."""
    return {
        "embedding-service": __version__,
        "onnxruntime": onnxruntime.__version__,
        "tokenizers": tokenizers.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
    }


def files(sink: FileSink) -> list[dict[str, object]]:
    """Describe the files of a finished sink."""
    return [{"name": str(path), "bytes": path.stat().st_size, "sha256": sha256(path)} for path in sink.files()]


def write(path: Path, receipt: Receipt) -> None:
    """Write a receipt atomically.

    Raises:
        OSError: it could not be written.
    """
    owned_files.put(path, orjson.dumps(receipt, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def read(path: Path) -> Receipt:
    """Read a receipt.

    Raises:
        MigrateError: the file is not a receipt.
        OSError: there is none.
    """
    try:
        receipt: Receipt = orjson.loads(path.read_bytes())
        shape = msgspec.convert(receipt, ReceiptFields)
    except ValueError:  # msgspec's errors are ValueErrors
        shape = None
    if shape is None or not {*COUNTED, "input"} <= shape.counts.keys() or "least_cosine" not in shape.verified:
        raise MigrateError(f"{path} is no receipt as a migration leaves it; copy it again, or run with --restart")
    return receipt


def space_of(path: Path) -> str:
    """Return the id of the embedding space in a receipt; empty if there is no such file."""
    try:
        return str(read(path)["job"].get(SPACE, ""))
    except OSError:
        return ""


def output_of(path: Path) -> Output | None:
    """Return the type of the vectors in a receipt; None if there is no such file.

    Raises:
        MigrateError: it is none of this version's.
    """
    try:
        return journal.output_of(read(path)["job"])
    except OSError:
        return None


def lines(receipt: Receipt) -> list[str]:
    """Format a receipt as lines of text."""
    counts, verified = receipt["counts"], receipt["verified"]
    said = [
        f"{counts['records']:,} records in: {counts['embedded']:,} embedded as {counts['rows']:,} rows, "
        f"{counts['rejected']:,} rejected",
        f"took {receipt['seconds']:,.1f} s" + _tokens(counts, receipt["seconds"]),
        _verified(verified),
        *([f"embedding space {receipt['job'][SPACE]}"] if SPACE in receipt["job"] else []),
    ]
    if receipt["job"].get(DTYPE, FLOAT.name) != FLOAT.name:
        scale = f" of scale {receipt['job'][SCALE]}" if SCALE in receipt["job"] else ""
        said.append(f"vectors in {receipt['job'][DTYPE]}{scale}")
    if counts.get("truncated"):
        said.append(f"{counts['truncated']:,} texts were longer than the model reads and lost their end; see --chunk")
    if counts["rejected"] and "rejects" in receipt:
        said.append(f"what was rejected, and why: {receipt['rejects']}")
    return said + [f"wrote {file['name']}, {file['bytes']:,} bytes" for file in receipt["files"]]


def _verified(verified: Mapping[str, Any]) -> str:
    if verified["least_cosine"] is None:
        return "nothing was embedded: no row was written, and there was none to verify"
    return (
        f"verified: {verified['rows']:,} rows counted, {verified['sample']:,} embedded again, least cosine "
        f"{verified['least_cosine']:.6f}"
    )


def _tokens(counts: Mapping[str, int], seconds: float) -> str:
    if "tokens" not in counts:  # not counted across the workers of a cluster
        return ""
    rate = counts["tokens"] / max(seconds, 1e-9)
    return (
        f" for {counts['tokens']:,} tokens ({rate:,.0f} tokens/s); "
        f"{counts['repeated']:,} repeated texts were not computed again"
    )
