from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.migrate.errors import MigrateError
from server.migrate.job import journal
from server.migrate.job.journal import Header, Journal, JournalEntry, create, differences, parse, recover

HEADER = Header(journal.VERSION, {"input": "a file", "model": "tiny"}, 256, 40, fresh=False, started="2026-01-01")


def entries(count: int) -> list[JournalEntry]:
    return [
        JournalEntry(window=n, next=4 * n, records=4 * n, rows=3 * n, lengths={"x": n}) for n in range(1, count + 1)
    ]


def written(path: Path, count: int) -> bytes:
    made = create(path, HEADER)
    for entry in entries(count):
        made.append(entry)
    made.close()
    return path.read_bytes()


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return written(tmp_path_factory.mktemp("journal") / "journal", 5)


def test_what_was_appended_is_recovered(tmp_path: Path) -> None:
    content = written(tmp_path / "journal", 3)
    recovered = recover(tmp_path / "journal")
    assert recovered is not None
    assert (recovered.header, recovered.last, recovered.length) == (HEADER, entries(3)[-1], len(content))


def test_without_a_journal_nothing_is_recovered(tmp_path: Path) -> None:
    assert recover(tmp_path / "journal") is None


@given(st.data())
def test_a_journal_cut_anywhere_gives_its_last_whole_entry_or_is_refused(content: bytes, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, len(content)))
    lines = content[:length].count(b"\n")
    if lines == 0:
        with pytest.raises(ValueError, match="first line"):
            parse(content[:length])
    else:
        assert parse(content[:length]).last.window == lines - 1


@given(st.data())
def test_a_flipped_bit_never_skips_a_window(content: bytes, data: st.DataObject) -> None:
    position, bit = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 7))
    flipped = bytearray(content)
    flipped[position] ^= 1 << bit
    whole = content[:position].count(b"\n")
    try:
        recovered = parse(bytes(flipped))
    except ValueError:
        return
    # Recovery ends before the damaged line, and only the last lines may be dropped.
    assert recovered.last.window == whole - 1
    assert whole >= content.count(b"\n") - 2
    assert content.startswith(bytes(flipped)[: recovered.length])


@given(st.data())
def test_lines_that_are_lost_repeated_or_swapped_are_refused(content: bytes, data: st.DataObject) -> None:
    header, *lines = content.splitlines(keepends=True)
    shuffled = data.draw(st.permutations(lines))[: data.draw(st.integers(1, len(lines)))]
    if shuffled == lines[: len(shuffled)]:
        assert parse(header + b"".join(shuffled)).last.window == len(shuffled)
    else:
        with pytest.raises(ValueError, match="about window"):
            parse(header + b"".join(shuffled))


def test_an_interrupted_line_is_cut_off_and_written_again(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    content = written(path, 2)
    path.write_bytes(content[:-7])
    recovered = recover(path)
    assert recovered is not None
    again = Journal(path, recovered)
    again.append(entries(2)[-1])
    again.close()
    assert path.read_bytes() == content


def test_damage_names_the_file_and_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b"nonsense\n")
    with pytest.raises(MigrateError, match=r"journal is damaged: .* --restart"):
        recover(tmp_path / "journal")


def test_a_journal_of_another_version_is_refused(tmp_path: Path) -> None:
    create(tmp_path / "journal", Header(9, {}, 1, None, fresh=False, started="")).close()
    with pytest.raises(MigrateError, match="version 9"):
        recover(tmp_path / "journal")


def test_differences_name_both_values() -> None:
    assert differences({"model": "a", "chunk": "no"}, {"model": "b", "chunk": "no"}) == ["model was a, is b"]
    assert differences({}, {"fields": "x"}) == ["fields was (none), is x"]


def test_a_job_of_a_version_that_wrote_no_output_type_is_one_of_float() -> None:
    assert differences({"model": "a"}, {"model": "a", "output dtype": "float"}) == []
    said = differences({"model": "a"}, {"model": "a", "output dtype": "int8", "scale": "0.5"})
    assert said == ["output dtype was float, is int8", "scale was (none), is 0.5"]


def test_a_job_of_a_version_that_wrote_no_space_is_the_same_job() -> None:
    assert differences({"model": "a"}, {"model": "a", "space": "x"}) == []
    assert differences({"model": "a", "space": "x"}, {"model": "a", "space": "y"}) == ["space was x, is y"]
