"""Opens files as bytes or UTF-8 text, decompressing gzip and zstd; errors name the file."""

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from server.migrate import optional
from server.migrate.errors import MigrateError

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
# First bytes of files that are not UTF-8 text: UTF-16 and UTF-32, with a byte order mark or recognized by the zero
# bytes of ASCII letters (RFC 4627, section 3), and formats whose files are often misnamed as text.
FOREIGN = {
    "is UTF-16 or UTF-32; convert it, as with iconv -f UTF-16 -t UTF-8": (
        rb"\xff\xfe|\xfe\xff|\0\0\xfe\xff|[^\0]\0[^\0]\0|\0[^\0]\0[^\0]|[^\0]\0\0\0|\0\0\0[^\0]"
    ),
    "is a tar archive; unpack it": rb".{257}ustar",
    "is a zip archive or a spreadsheet; unpack it, or save the sheet as CSV": rb"PK\x03\x04",
    "is compressed with bzip2 or xz; unpack it, or compress it with gzip or zstd": rb"BZh[1-9]1AY&SY|\xfd7zXZ\0",
    "is Parquet; say --input-format parquet": rb"PAR1",
    "is an Arrow file; save it as Parquet": rb"ARROW1\0\0",
    "is a PDF; extract its text": rb"%PDF-",
    "is an SQLite database; export its table as CSV": rb"SQLite format 3\0",
}
HEAD = 512
SUFFIXES = (".gz", ".zst", ".zstd")


def plain_name(path: Path) -> str:
    """Return the lower-case name of a file without a compression suffix."""
    name = path.name.lower()
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)


def encoding_fault(head: bytes) -> str | None:
    """Return an error message if the first bytes of a file show that it is not UTF-8 text, else None."""
    return next((fault for fault, pattern in FOREIGN.items() if re.match(pattern, head, re.DOTALL)), None)


@contextmanager
def binary(path: Path) -> Iterator[BinaryIO]:
    """Open `path` for reading bytes; gzip and zstd are detected by their first bytes, not by the name.

    Raises:
        MigrateError: it cannot be opened or, inside the block, read or decompressed.
    """
    with reading(path), path.open("rb") as file:
        magic = file.peek(len(ZSTD))
        if magic.startswith(GZIP):
            with gzip.open(file) as stream:
                yield cast(BinaryIO, stream)
        elif magic.startswith(ZSTD):
            # Arrow's stream, unlike the zstandard package's, detects a truncated file.
            with optional.load("pyarrow").CompressedInputStream(file, "zstd") as stream:
                yield cast(BinaryIO, io.BufferedReader(stream))
        else:
            yield file


@contextmanager
def characters(path: Path) -> Iterator[BinaryIO]:
    """Open `path` as `binary` does, and check that it looks like UTF-8 text.

    Raises:
        MigrateError: as `binary`; or its first bytes show that it is not UTF-8.
    """
    with binary(path) as stream:
        if fault := encoding_fault(stream.peek(HEAD)):  # type: ignore[attr-defined]  # all that `binary` opens can
            raise MigrateError(f"{path} {fault}")
        yield stream


@contextmanager
def text(path: Path, newline: str | None = "\n") -> Iterator[TextIO]:
    """Open `path` as UTF-8, with or without a byte order mark.

    Raises:
        MigrateError: as `binary`; or it is not UTF-8.
    """
    with characters(path) as stream, io.TextIOWrapper(stream, "utf-8-sig", newline=newline) as wrapped:
        yield wrapped


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Convert exceptions while reading `path` to a MigrateError that names it."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise MigrateError(
            f"{path} is not UTF-8 ({error.reason}); convert it, as with iconv -f WINDOWS-1252 -t UTF-8"
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise MigrateError(f"{path} cannot be decompressed: {error}; it may have been cut short in a copy") from None
    except OSError as error:
        raise MigrateError(f"{path} cannot be read: {error.strerror or error}") from None
