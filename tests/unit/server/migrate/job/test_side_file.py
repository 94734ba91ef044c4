from pathlib import Path

import pytest

from server.migrate.errors import MigrateError
from server.migrate.job.side_file import SideFile


def test_what_is_not_on_record_is_cut_off(tmp_path: Path) -> None:
    first = SideFile(tmp_path / "side", 0)
    first.append(b"one\n")
    first.append(b"two\n")
    first.close()
    again = SideFile(tmp_path / "side", 4)
    again.append(b"three\n")
    assert again.length == 10
    again.close()
    assert (tmp_path / "side").read_bytes() == b"one\nthree\n"


def test_fewer_bytes_than_on_record_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MigrateError, match="the journal counts 4"):
        SideFile(tmp_path / "side", 4)
