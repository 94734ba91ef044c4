"""Tests that every file sink must pass; each format has a test file that subclasses them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from server.migrate.errors import MigrateError
from server.migrate.outputs import open_sink, read
from server.migrate.ownership.made_files import Made
from server.migrate.record import Row
from server.migrate.sinks.sink import Sink
from tests.conftest import STRIDE
from tests.unit.server.migrate.crash import Killed, killing
from tests.unit.server.migrate.sinks.rows import rows, snapshot, target


class FileSinkContract(ABC):
    """The tests that each format inherits."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of the format."""

    def make(self, folder: Path) -> Sink:
        return open_sink(str(folder / f"out.{self.name}"), None, {})

    def whole(self, folder: Path) -> dict[str, bytes]:
        """Write ten rows in three calls without interruption; return the files."""
        folder.mkdir()
        sink = self.make(folder)
        sink.open(target())
        for part in (rows(0, 4), rows(4, 8), rows(8, 10)):
            sink.write(part)
        sink.finish()
        sink.close()
        return snapshot(folder)

    def read(self, folder: Path) -> list[Row]:
        return list(read(str(folder / f"out.{self.name}"), self.name))

    def test_rows_come_back_in_order_bit_for_bit(self, tmp_path: Path) -> None:
        self.whole(tmp_path / "a")
        stored = self.read(tmp_path / "a")
        assert [(row.place, row.id) for row in stored] == [(row.place, row.id) for row in rows(0, 10)]
        assert np.array_equal(np.stack([row.vector for row in stored]), np.stack([row.vector for row in rows(0, 10)]))

    def test_the_same_rows_are_the_same_bytes_and_nothing_is_left_over(self, tmp_path: Path) -> None:
        first = self.whole(tmp_path / "a")
        assert first == self.whole(tmp_path / "b")
        assert all("partial" not in name and "new" not in name and "rows" not in name for name in first)

    def test_fetch_finds_rows_by_place_and_id(self, tmp_path: Path) -> None:
        self.whole(tmp_path / "a")
        sink = self.make(tmp_path / "a")
        sink.open(target(10))
        third = rows(3, 4)[0]
        fetched = sink.fetch([(3, third.id), (4, "another"), (99, "none")])
        assert list(fetched) == [third.id]
        assert np.array_equal(fetched[third.id], third.vector)
        assert sink.count() == 10
        sink.close()

    @pytest.mark.parametrize("on_record", [0, 4, 8])
    def test_a_job_goes_on_after_the_rows_on_record(self, tmp_path: Path, on_record: int) -> None:
        expected = self.whole(tmp_path / "a")
        (tmp_path / "b").mkdir()
        killed = self.make(tmp_path / "b")
        killed.open(target())
        for part in (rows(0, 4), rows(4, 8), rows(8, 10)):
            killed.write(part)  # all written, but not all journaled
        killed.close()
        again = self.make(tmp_path / "b")
        again.open(target(on_record))
        for part in (rows(0, 4), rows(4, 8), rows(8, 10)):
            if part[0].place >= on_record:
                again.write(part)
        again.finish()
        again.close()
        assert snapshot(tmp_path / "b") == expected

    def test_the_last_write_may_be_repeated(self, tmp_path: Path) -> None:
        expected = self.whole(tmp_path / "a")
        (tmp_path / "b").mkdir()
        sink = self.make(tmp_path / "b")
        sink.open(target())
        for part in (rows(0, 4), rows(4, 8), rows(8, 10)):
            sink.write(part)
            sink.write(part)
        sink.finish()
        sink.close()
        assert snapshot(tmp_path / "b") == expected

    def test_finishing_twice_changes_nothing(self, tmp_path: Path) -> None:
        expected = self.whole(tmp_path / "a")
        again = self.make(tmp_path / "a")
        again.open(target(10))
        again.finish()
        again.close()
        assert snapshot(tmp_path / "a") == expected

    def test_killed_at_any_moment_of_the_end_it_is_finished_the_next_time(self, tmp_path: Path) -> None:
        expected = self.whole(tmp_path / "a")
        for call in range(1, 60, STRIDE):
            folder = tmp_path / f"killed{call}"
            folder.mkdir()
            sink = self.make(folder)
            sink.open(target())
            for part in (rows(0, 4), rows(4, 8), rows(8, 10)):
                sink.write(part)
            with killing(call) as killer, suppress(Killed):
                sink.finish()
            sink.close()
            again = self.make(folder)
            again.open(target(10))
            again.finish()
            again.close()
            assert snapshot(folder) == expected, f"killed at call {call}"
            assert {path.name for path in folder.iterdir()} == set(expected)
            if killer.calls < call:
                return
        raise AssertionError("it makes no end")

    def test_rows_on_record_that_are_gone_are_told(self, tmp_path: Path) -> None:
        sink = self.make(tmp_path)
        sink.open(target())
        sink.write(rows(0, 4))
        sink.close()
        with pytest.raises(MigrateError, match="--restart"):
            self.make(tmp_path).open(target(8))

    def test_what_is_there_is_replaced_only_by_the_job_that_made_it(self, tmp_path: Path) -> None:
        expected = self.whole(tmp_path / "a")
        for restart in (False, True):
            with pytest.raises(MigrateError, match="exists and is not this job's"):
                self.make(tmp_path / "a").open(target(fresh=restart, made=Made("another job")))
        assert snapshot(tmp_path / "a") == expected
        fresh = self.make(tmp_path / "a")
        fresh.open(target(fresh=True))
        for part in (rows(0, 4), rows(4, 8), rows(8, 10)):
            fresh.write(part)
        before = snapshot(tmp_path / "a")
        assert {name: before[name] for name in expected} == expected, "the old output must last until the new is whole"
        fresh.finish()
        fresh.close()
        assert snapshot(tmp_path / "a") == expected

    def test_no_rows_at_all_are_an_empty_output(self, tmp_path: Path) -> None:
        sink = self.make(tmp_path)
        sink.open(target())
        sink.finish()
        assert sink.count() == 0
        sink.close()
        assert self.read(tmp_path) == []

    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(MigrateError, match="make it first"):
            self.make(tmp_path / "missing").open(target())

    @pytest.fixture(autouse=True)
    def no_descriptors_left(self) -> Iterator[None]:
        before = set(Path("/proc/self/fd").iterdir())
        yield
        assert len(set(Path("/proc/self/fd").iterdir())) <= len(before) + 1
