"""Creates files exclusively, and reopens them only if they are still regular files with a single link.

In a shared folder a name may have been replaced by a symbolic or hard link to another user's file, and writing through
the link would overwrite that file. So creation follows no link (O_EXCL, open(2)), and reopening checks for both.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from server.model import staging

MODE = 0o644


def create(path: Path) -> int:
    """Create an empty file at `path` and return its descriptor, open for reading and writing.

    Raises:
        FileExistsError: the path exists, even if only as a dangling link.
        OSError: it cannot be created.
    """
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)


def stream(path: Path) -> BinaryIO:
    """Create an empty file at `path` and open it for reading and writing.

    Raises:
        OSError: as `create`.
    """
    return os.fdopen(create(path), "w+b")


def reopen(path: Path, flags: int = os.O_RDWR) -> int:
    """Open a file that this program created earlier and return its descriptor.

    Raises:
        FileNotFoundError: there is none.
        OSError: it is a symbolic link, has more than one hard link, is not a regular file, or cannot be opened.
    """
    check(path)
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_status(path, os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def open_or_create(path: Path, flags: int = os.O_RDWR) -> int:
    """Open a file that this program created earlier, or create it; return its descriptor.

    Raises:
        OSError: as `reopen` and `create`.
    """
    try:
        return reopen(path, flags)
    except FileNotFoundError:
        os.close(create(path))
        return reopen(path, flags)


def check(path: Path) -> None:
    """Check that `path` is a regular file with a single link, as this program creates them.

    Raises:
        FileNotFoundError: there is none.
        OSError: it is a symbolic link, has more than one hard link, or is not a regular file.
    """
    _check_status(path, path.lstat())


def put(path: Path, data: bytes) -> None:
    """Replace the content of `path` with `data`, atomically and durably.

    The data is written to `path` + `.new` first; such a file left by a killed process is removed.

    Raises:
        OSError: it could not be written, or the `.new` file was not created by this program.
    """
    fresh = path.with_name(f"{path.name}.new")
    remove(fresh)
    descriptor = create(fresh)
    try:
        write(descriptor, data, fresh)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(path)
    staging.flush(path.parent)


def write(descriptor: int, data: bytes, path: Path) -> None:
    """Write all of `data` to the open file at `path`.

    Raises:
        OSError: it could not be written whole.
    """
    left = memoryview(data)
    while left:
        written = os.write(descriptor, left)
        if not written:
            raise OSError(errno.ENOSPC, "it could not be written whole; free space on its disk", str(path))
        left = left[written:]


def remove(path: Path) -> None:
    """Remove a file that this program created; do nothing if there is none.

    Raises:
        OSError: it is a symbolic link, has more than one hard link, is not a regular file, or cannot be removed.
    """
    try:
        check(path)
    except FileNotFoundError:
        return
    path.unlink()


def _check_status(path: Path, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        return
    if stat.S_ISLNK(status.st_mode):
        what = "is a symbolic link"
    elif stat.S_ISREG(status.st_mode):
        what = "has a second name (a hard link)"
    else:
        what = "is no regular file"
    raise FileExistsError(errno.EEXIST, f"{what}, so this program did not make it; move it away", str(path))
