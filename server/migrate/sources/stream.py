"""Bytes and characters of a file, decompressed on the way; what is wrong with them is named with the file."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from server.migrate import extra
from server.migrate.errors import MigrateError

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
SUFFIXES = (".gz", ".zst", ".zstd")


def plain_name(path: Path) -> str:
    """The name of a file without what says that it is compressed."""
    name = path.name.lower()
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)


@contextmanager
def binary(path: Path) -> Iterator[BinaryIO]:
    """Open `path` for reading; gzip and zstd are told by their first bytes, not by the name.

    Raises:
        MigrateError: it cannot be opened; or, inside the block, cannot be read or decompressed to its end.
    """
    with reading(path), path.open("rb") as raw:
        magic = raw.peek(len(ZSTD))
        if magic.startswith(GZIP):
            with gzip.open(raw) as stream:
                yield cast(BinaryIO, stream)
        elif magic.startswith(ZSTD):
            # Arrow's stream, unlike the zstandard package's, tells a file that was cut short.
            with extra.load("pyarrow").CompressedInputStream(raw, "zstd") as stream:
                yield cast(BinaryIO, io.BufferedReader(stream))
        else:
            yield raw


@contextmanager
def text(path: Path, newline: str | None = "\n") -> Iterator[TextIO]:
    """Open `path` as UTF-8, with or without a byte order mark.

    Raises:
        MigrateError: as `binary`; or it is not UTF-8.
    """
    with binary(path) as stream, io.TextIOWrapper(stream, "utf-8-sig", newline=newline) as characters:
        yield characters


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong while reading `path` into an error that names it."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise MigrateError(f"{path} is not UTF-8 ({error.reason}); convert it, as with iconv -t UTF-8") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise MigrateError(f"{path} cannot be decompressed: {error}; it may have been cut short in a copy") from None
    except OSError as error:
        raise MigrateError(f"{path} cannot be read: {error.strerror or error}") from None
