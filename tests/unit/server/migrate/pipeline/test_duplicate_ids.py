from pathlib import Path

from server.migrate.pipeline.duplicate_ids import DuplicateIds
from server.migrate.pipeline.shard import Shard
from server.migrate.record import Record


def records(start: int, *ids: str) -> list[Record]:
    return [Record(ordinal, id_, "text") for ordinal, id_ in enumerate(ids, start)]


def test_an_id_that_came_before_is_named_with_the_record_that_had_it(tmp_path: Path) -> None:
    seen = DuplicateIds(tmp_path / "ids", Shard())
    assert seen.repeats(records(0, "x", "y")) == {}
    repeated = seen.repeats(records(2, "z", "y", "z"))
    assert sorted(repeated) == [3, 4]
    assert "record 1" in repeated[3]
    assert "record 2" in repeated[4]
    seen.close()


def test_an_ordinal_that_stood_for_an_id_counts_as_one(tmp_path: Path) -> None:
    seen = DuplicateIds(tmp_path / "ids", Shard())
    assert seen.repeats(records(0, "0", "1", "2")) == {}
    assert list(seen.repeats(records(3, "1", "x"))) == [3]
    seen.close()


def test_a_record_that_could_not_be_read_takes_no_id(tmp_path: Path) -> None:
    seen = DuplicateIds(tmp_path / "ids", Shard())
    assert seen.repeats(records(0, "", "7", "")) == {}
    assert seen.repeats(records(3, "0", "2", "3", "")) == {}
    assert list(seen.repeats(records(7, "7"))) == [7]
    seen.close()


def test_in_a_shard_only_its_own_ordinals_count(tmp_path: Path) -> None:
    seen = DuplicateIds(tmp_path / "ids", Shard(2, 2))
    assert seen.repeats([Record(1, "1", ""), Record(3, "3", "")]) == {}
    assert list(seen.repeats([Record(5, "2", ""), Record(7, "3", "")])) == [7]
    seen.close()


def test_the_same_records_may_come_again_after_an_interruption(tmp_path: Path) -> None:
    seen = DuplicateIds(tmp_path / "ids", Shard())
    seen.repeats(records(0, "x", "y"))
    seen.close()
    again = DuplicateIds(tmp_path / "ids", Shard())
    assert again.repeats(records(0, "x", "y")) == {}
    assert list(again.repeats(records(2, "x"))) == [2]
    again.close()


def test_ids_that_are_no_unicode_are_told_apart_too(tmp_path: Path) -> None:
    seen = DuplicateIds(tmp_path / "ids", Shard())
    assert list(seen.repeats(records(0, "\ud800", "\udfff", "\ud800"))) == [2]
    seen.close()
