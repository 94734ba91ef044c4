"""Reading zstd, which requires an optional package."""

from pathlib import Path

import pytest
import zstandard

from server.migrate.errors import MigrateError
from server.migrate.sources.lines import make


def test_zstd_is_read_as_it_is_in_one_frame_or_more(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt.zst"
    path.write_bytes(zstandard.compress(b"a\nb\n") + zstandard.compress(b"c\n"))
    assert [record.text for record in make(str(path), {}).records(0)] == ["a", "b", "c"]


def test_zstd_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt.zst"
    path.write_bytes(zstandard.compress(b"".join(b"%d\n" % n for n in range(9999)))[:-9])
    with pytest.raises(MigrateError, match=r"texts.txt.zst cannot be read: Truncated"):
        list(make(str(path), {}).records(0))
