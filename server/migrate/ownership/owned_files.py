"""Files that only this program writes: made exclusively, and opened again only where they are still such files.

A name in a shared folder may have become a symbolic or hard link to a file of someone else; what is written through it
would be theirs. Creation follows no link (O_EXCL, open(2)), and a file that is opened again must be a regular one with
one name.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from server.model import staging

MODE = 0o644


def create(path: Path) -> int:
    """Make the file at `path`, empty, and return its descriptor, open for reading and writing.

    Raises:
        FileExistsError: something is there, if only a link that leads nowhere.
        OSError: it cannot be made.
    """
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)


def stream(path: Path) -> BinaryIO:
    """Make the file at `path`, empty, and open it for reading and writing.

    Raises:
        OSError: as `create`.
    """
    return os.fdopen(create(path), "w+b")


def reopen(path: Path, flags: int = os.O_RDWR) -> int:
    """Open a file that this program made earlier and return its descriptor.

    Raises:
        FileNotFoundError: there is none.
        OSError: it is a link, has a second name, is no regular file, or cannot be opened.
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
    """Open a file that this program made earlier, or make it; return its descriptor.

    Raises:
        OSError: as `reopen` and `create`.
    """
    try:
        return reopen(path, flags)
    except FileNotFoundError:
        os.close(create(path))
        return reopen(path, flags)


def check(path: Path) -> None:
    """Check that what is at `path` can be a file that this program made.

    Raises:
        FileNotFoundError: nothing is there.
        OSError: it is a link, has a second name, or is no regular file.
    """
    _check_status(path, path.lstat())


def put(path: Path, data: bytes) -> None:
    """Make `data` the content of `path`, a file of this program's own: whole or not at all, and for good.

    It is written under the name with `.new` at its end; a file that a killed process left there is removed.

    Raises:
        OSError: it could not be written, or the name with `.new` is no file that this program made.
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
    """Remove a file that this program made, where there is one.

    Raises:
        OSError: it is a link, has a second name, is no regular file, or cannot be removed.
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
