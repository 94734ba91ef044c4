"""Tests that every sink must pass, against the real store or a fake server."""

from collections.abc import Sequence
from contextlib import closing

import pytest

from server.migrate.commands.open_stored import open_stored
from server.migrate.errors import MigrateError
from server.migrate.ownership.made_files import Made
from server.migrate.record import Row
from tests.migrate.stores.conftest import ALL
from tests.migrate.stores.opening import opened, sink_for
from tests.migrate.stores.rows import check, rows, target

pytest.importorskip("chromadb", reason="needs requirements/stores.txt")
# What `open_stored` reads texts from.
STORED = [kind for kind in ALL if "shards" not in kind and kind != "faiss"]
every_store = pytest.mark.parametrize("output", ALL, indirect=True)
# A Pinecone namespace cannot carry a mark; test_pinecone tests its rules.
every_marked_store = pytest.mark.parametrize("output", [kind for kind in ALL if kind != "pinecone"], indirect=True)


def fill(output: str, written: Sequence[Row]) -> None:
    with opened(output, target()) as sink:
        sink.write(written)
        sink.finish()


@every_store
@pytest.mark.parametrize("count", [1, 300])
def test_rows_come_back_as_they_were_written(output: str, count: int) -> None:
    written = rows(count)
    with opened(output, target()) as sink:
        sink.write(written)
        sink.finish()
        check(sink, written)


@every_store
def test_rows_written_twice_are_there_once(output: str) -> None:
    written = rows(60)
    with opened(output, target()) as sink:
        sink.write(written[:20])
        sink.write(written[20:])
        sink.write(written[20:])
        sink.finish()
        check(sink, written)


@every_store
def test_a_job_killed_between_write_and_journal_goes_on(output: str) -> None:
    written = rows(60)
    with opened(output, target()) as sink:
        sink.write(written[:20])
    for recorded in (0, 20, 20):
        with opened(output, target(recorded)) as sink:
            sink.write(written[recorded : recorded + 20])
    with opened(output, target(40)) as sink:
        sink.write(written[40:])
        sink.finish()
    with opened(output, target(60)) as sink:
        sink.finish()
        check(sink, written)


@every_store
def test_rows_on_record_that_are_gone_stop_the_job(output: str) -> None:
    with opened(output, target()) as sink:
        sink.write(rows(10))
    with pytest.raises(MigrateError, match="--restart"), opened(output, target(11)):
        pass


@every_marked_store
def test_starting_over_empties_what_an_earlier_job_left(output: str) -> None:
    fill(output, rows(30))
    with opened(output, target(fresh=True)) as sink:
        sink.write(rows(5))
        sink.finish()
        check(sink, rows(5))


@every_marked_store
def test_a_complete_target_is_not_written_into_by_another_job(output: str) -> None:
    fill(output, rows(30))
    with pytest.raises(MigrateError, match="--restart"), opened(output, target()):
        pass


@every_marked_store
@pytest.mark.parametrize("fresh", [False, True])
def test_what_another_job_fills_or_filled_is_not_touched(output: str, fresh: bool) -> None:
    """Two jobs with the same store and different journals."""
    with opened(output, target()) as sink:
        sink.write(rows(20))
    other = target(fresh=fresh, made=Made("another job"))
    with pytest.raises(MigrateError, match="another job"), opened(output, other):
        pass
    with opened(output, target(20)) as sink:
        sink.write(rows(30)[20:])
        sink.finish()
    with pytest.raises(MigrateError, match=r"another job|not this job's"), opened(output, other):
        pass
    with opened(output, target(30)) as sink:
        check(sink, rows(30))


@pytest.mark.parametrize("output", [kind for kind in ALL if kind not in ("pinecone", "faiss")], indirect=True)
@pytest.mark.parametrize("fresh", [False, True])
def test_vectors_of_two_models_never_meet(output: str, fresh: bool) -> None:
    fill(output, rows(30))
    other = target(dimension=16, model="bge-large-en-v1.5", fresh=fresh)
    with (
        pytest.raises(MigrateError, match=r"all-MiniLM-L6-v2 .*8 dim.* bge-large-en-v1.5 .*16 dim"),
        opened(output, other),
    ):
        pass
    with opened(output, target(30)) as sink:
        check(sink, rows(30))


SPACE = "all-MiniLM-L6-v2@0123456789ab/int8-01234567"


@every_marked_store
def test_vectors_of_another_space_of_the_same_model_are_refused_naming_both(output: str) -> None:
    with opened(output, target(space=SPACE)) as sink:
        sink.write(rows(30))
    if not output.endswith(".faiss"):
        other = SPACE.replace("@0", "@1")
        with (
            pytest.raises(MigrateError, match=rf"space {SPACE}\).* these are of .*space {other}\)"),
            opened(output, target(30, space=other)),
        ):
            pass
    with opened(output, target(30, space=SPACE)) as sink:
        sink.finish()
        check(sink, rows(30))


@every_marked_store
def test_a_job_that_an_earlier_version_began_goes_on(output: str) -> None:
    with opened(output, target()) as sink:
        sink.write(rows(30)[:20])
    with opened(output, target(20, space=SPACE)) as sink:
        sink.write(rows(30)[20:])
        sink.finish()
        check(sink, rows(30))


@pytest.mark.parametrize("output", STORED, indirect=True)
def test_a_store_says_its_space_and_gives_its_texts(output: str) -> None:
    written = rows(30)
    with opened(output, target(space=SPACE)) as sink:
        sink.write(written)
        sink.finish()
    with closing(open_stored(output)) as stored:
        assert stored.space() == SPACE
        asked = [row.id for row in written[:12]]
        assert stored.texts([*asked, "not there"]) == {row.id: row.text for row in written[:12]}


@every_store
def test_an_identity_stays_and_tells_targets_apart(output: str) -> None:
    assert sink_for(output).identity() == sink_for(output).identity()
    assert sink_for(output).identity() != sink_for(f"{output}2").identity()
