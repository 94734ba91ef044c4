"""Jobs next to foreign files, which must not be changed or removed, whatever the flags."""

import os
from pathlib import Path

import numpy as np
import pytest

from server.migrate import options
from server.migrate.commands.merge import merge
from server.migrate.errors import MigrateError
from server.migrate.ownership import folder_mark
from tests.unit.server.migrate.crash import Killed, killing
from tests.unit.server.migrate.jobs import run, texts, write_input
from tests.unit.server.migrate.sinks.rows import snapshot

WINDOW = ("--window", "8")
RESTART = ((), ("--restart",))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return write_input(tmp_path / "in" / "texts.json", texts(20))


def refused(models_dir: Path, source: Path, output: Path | str, *flags: str) -> str:
    """Run a job that must be refused without changing any file; return its message."""
    top = source.parent.parent
    before = snapshot(top)
    with pytest.raises(MigrateError) as raised:
        run(models_dir, source, output, *WINDOW, *flags)
    assert snapshot(top) == before
    return str(raised.value)


@pytest.mark.parametrize("restart", RESTART)
def test_a_folder_that_was_never_a_journal_is_not_cleared(
    models_dir: Path, source: Path, tmp_path: Path, restart: tuple[str, ...]
) -> None:
    mine = tmp_path / "mine"
    (mine / "photos").mkdir(parents=True)
    (mine / "thesis.txt").write_text("years of work")
    said = refused(models_dir, source, tmp_path / "out.npy", "--journal", str(mine), *restart)
    assert "is no journal: it holds photos" in said
    assert (mine / "photos").is_dir()


def test_what_was_put_beside_a_journal_is_named_and_stays(models_dir: Path, source: Path, tmp_path: Path) -> None:
    run(models_dir, source, tmp_path / "out.npy", *WINDOW)
    (tmp_path / "out.npy.migrate" / "notes.txt").write_text("mine")
    said = refused(models_dir, source, tmp_path / "out.npy", "--restart")
    assert "notes.txt was not made by this program" in said
    (tmp_path / "out.npy.migrate" / "notes.txt").unlink()
    run(models_dir, source, tmp_path / "out.npy", *WINDOW, "--restart")


@pytest.mark.parametrize("restart", RESTART)
def test_a_journal_of_an_earlier_version_is_refused_with_what_to_do(
    models_dir: Path, source: Path, tmp_path: Path, restart: tuple[str, ...]
) -> None:
    run(models_dir, source, tmp_path / "out.npy", *WINDOW)
    (tmp_path / "out.npy.migrate" / folder_mark.NAME).unlink()
    said = refused(models_dir, source, tmp_path / "out.npy", *restart)
    assert "begun by an earlier version of this program. Let that version finish it, or choose" in said


@pytest.mark.parametrize("restart", RESTART)
def test_the_journal_of_another_output_is_not_taken(
    models_dir: Path, source: Path, tmp_path: Path, restart: tuple[str, ...]
) -> None:
    run(models_dir, source, tmp_path / "a.npy", *WINDOW)
    journal = ("--journal", str(tmp_path / "a.npy.migrate"))
    assert "is the journal of the job that writes to" in refused(
        models_dir, source, tmp_path / "b.npy", *journal, *restart
    )


@pytest.mark.parametrize("restart", RESTART)
@pytest.mark.parametrize("kind", ["same", "hard link", "symlink", "folder link", "dots"])
def test_input_and_output_that_are_one_file_are_told_without_advice_that_loses_it(
    models_dir: Path, tmp_path: Path, kind: str, restart: tuple[str, ...]
) -> None:
    (tmp_path / "in").mkdir()
    source = tmp_path / "in" / "a.jsonl"
    source.write_text('{"id": "1", "text": "a"}\n')
    output = tmp_path / "in" / "b.jsonl"
    if kind == "same":
        output = source
    elif kind == "hard link":
        os.link(source, output)
    elif kind == "symlink":
        output.symlink_to(source)
    elif kind == "folder link":
        (tmp_path / "elsewhere").symlink_to(tmp_path / "in")
        output = tmp_path / "elsewhere" / "a.jsonl"
    else:
        output = tmp_path / "in" / ".." / "in" / "a.jsonl"
    said = refused(models_dir, source, output, *restart)
    assert "are one file" in said
    assert "--restart" not in said


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--output", "{in}/out.npy", "--input", "{in}"), "lies in --input"),
        (("--output", "{top}/out.npy", "--journal", "{in}"), "--input .* lies in the folder of the journal"),
        (("--output", "{top}/j/out.npy", "--journal", "{top}/j"), "--output .* lies in the folder of the journal"),
        (("--output", "{top}/out.npy", "--rejects", "{in}/texts.json"), "are one file"),
        (("--output", "{top}/out.npy", "--rejects", "{top}/out.ids.jsonl"), "are one file"),
        (("--output", "{top}/OUT.npy", "--rejects", "{top}/out.npy"), "are one file"),
        (("--output", "{in}/texts.json", "--format", "npy"), "are one file"),
        (("--output", "{top}/out.npy", "--journal", "/"), "lies in the folder of the journal"),
        (("--output", "{top}/out.npy", "--journal", "{top}"), "lies in the folder of the journal"),
        (("--output", "{top}/new", "--format", "pinecone", "--journal", "{top}/new/j"), "lies in --output"),
        (("--output", "{top}/old.npy", "--compare-with", "{top}/old.npy"), "are one file"),
    ],
)
def test_whatever_a_job_reads_and_writes_is_told_apart(
    models_dir: Path, source: Path, tmp_path: Path, flags: tuple[str, ...], said: str
) -> None:
    np.save(tmp_path / "old.npy", np.eye(2, dtype=np.float32))
    named = [flag.format(top=tmp_path, **{"in": source.parent}) for flag in flags]
    before = snapshot(tmp_path)
    asked = named if "--input" in named else [*named, "--input", str(source)]
    with pytest.raises(MigrateError, match=said):
        run_flags(models_dir, asked)
    assert snapshot(tmp_path) == before


def run_flags(models_dir: Path, flags: list[str]) -> None:
    given = dict(zip(flags[::2], flags[1::2], strict=True))
    source, output = Path(given.pop("--input")), given.pop("--output")
    run(models_dir, source, output, *(word for pair in given.items() for word in pair))


@pytest.mark.parametrize("restart", RESTART)
@pytest.mark.parametrize("name", ["out.npy", "out.ids.jsonl"])
@pytest.mark.parametrize("kind", ["file", "folder", "symlink", "dangling", "fifo"])
def test_what_is_under_an_output_s_name_and_not_this_job_s_stays(
    models_dir: Path, source: Path, tmp_path: Path, kind: str, name: str, restart: tuple[str, ...]
) -> None:
    (tmp_path / "theirs").write_text("theirs")
    path = tmp_path / name
    if kind == "file":
        path.write_text("theirs")
    elif kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / ("theirs" if kind == "symlink" else "nowhere"))
    with pytest.raises(MigrateError, match="exists and is not this job's; choose another --output, or move it away"):
        run(models_dir, source, tmp_path / "out.npy", *WINDOW, *restart)
    assert os.path.lexists(path)
    assert (tmp_path / "theirs").read_text() == "theirs"
    assert not (tmp_path / "nowhere").exists()
    assert not (tmp_path / "out.npy.partial").exists()


def test_a_finished_output_that_was_edited_is_not_replaced(models_dir: Path, source: Path, tmp_path: Path) -> None:
    run(models_dir, source, tmp_path / "out.jsonl", *WINDOW)
    with (tmp_path / "out.jsonl").open("a") as stream:
        stream.write('{"id": "mine"}\n')
    assert "exists and is not this job's" in refused(models_dir, source, tmp_path / "out.jsonl", "--restart")


@pytest.mark.parametrize("restart", RESTART)
@pytest.mark.parametrize("name", ["npy", "npz", "jsonl"])
def test_links_planted_where_an_output_grows_are_not_followed(
    models_dir: Path, source: Path, tmp_path: Path, name: str, restart: tuple[str, ...]
) -> None:
    """The links lead to a foreign file and a foreign folder."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "vectors").write_text("theirs")
    for target in (tmp_path / "theirs" / "vectors", tmp_path / "theirs"):
        link = tmp_path / f"out.{name}.partial"
        link.symlink_to(target)
        assert "exists and is not this job's" in fails(models_dir, source, tmp_path / f"out.{name}", *restart)
        assert snapshot(tmp_path / "theirs") == {"vectors": b"theirs"}
        link.unlink()


@pytest.mark.parametrize(
    "name", ["journal", "memo", "ids.sqlite3", "rejects.jsonl", "sample.jsonl", "receipt.json.new"]
)
def test_links_planted_in_a_journal_are_not_followed(models_dir: Path, source: Path, tmp_path: Path, name: str) -> None:
    with killing(70), pytest.raises(Killed):
        run(models_dir, source, tmp_path / "out.npy", *WINDOW)
    path = tmp_path / "out.npy.migrate" / name
    held = path.read_bytes() if path.exists() else b"theirs"
    (tmp_path / "theirs").write_bytes(held)
    for plant in (Path.symlink_to, Path.hardlink_to):
        path.unlink(missing_ok=True)
        plant(path, tmp_path / "theirs")
        with pytest.raises(OSError, match="so this program did not make it; move it away"):
            run(models_dir, source, tmp_path / "out.npy", *WINDOW)
        assert (tmp_path / "theirs").read_bytes() == held


def fails(models_dir: Path, source: Path, output: Path, *flags: str) -> str:
    with pytest.raises(MigrateError) as raised:
        run(models_dir, source, output, *WINDOW, *flags)
    return str(raised.value)


@pytest.mark.parametrize("restart", RESTART)
def test_an_output_is_one_job_s_until_it_is_done_wherever_the_journals_lie(
    models_dir: Path, source: Path, tmp_path: Path, restart: tuple[str, ...]
) -> None:
    one, other = (("--journal", str(tmp_path / name)) for name in ("one", "other"))
    with killing(70), pytest.raises(Killed):
        run(models_dir, source, tmp_path / "out.npy", *WINDOW, *one)
    said = fails(models_dir, source, tmp_path / "out.npy", *other, *restart)
    assert f"is being made by another job, which began earlier; its journal is {tmp_path / 'one'}" in said
    run(models_dir, source, tmp_path / "out.npy", *WINDOW, *one)
    whole = snapshot(tmp_path)
    assert "exists and is not this job's" in fails(models_dir, source, tmp_path / "out.npy", *other, *restart)
    assert {name: content for name, content in snapshot(tmp_path).items() if not name.startswith("other")} == {
        name: content for name, content in whole.items() if not name.startswith("other")
    }


def test_two_shards_with_one_output_do_not_meet(models_dir: Path, source: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        flags = ("--shard", f"{number}/2", "--journal", str(tmp_path / f"j{number}"))
        if number == 1:
            with killing(70), pytest.raises(Killed):
                run(models_dir, source, tmp_path / "out.npy", "--window", "4", *flags)
        else:
            assert "is being made by another job" in fails(models_dir, source, tmp_path / "out.npy", *flags)


def test_a_list_of_rejects_that_is_not_this_job_s_stays(models_dir: Path, source: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("mine")
    flags = ("--on-error", "skip", "--rejects", str(tmp_path / "bad.jsonl"))
    assert "bad.jsonl exists and is not this job's; choose another --rejects" in fails(
        models_dir, source, tmp_path / "out.npy", *flags
    )
    (tmp_path / "bad.jsonl").unlink()
    run(models_dir, source, tmp_path / "out.npy", *WINDOW, *flags)
    run(models_dir, source, tmp_path / "out.npy", *WINDOW, *flags, "--restart")


def unite(parts: list[Path], output: Path, *flags: str) -> None:
    merge(options.parse(["--merge", *map(str, parts), "--output", str(output), *flags]))


def test_a_merge_touches_neither_a_folder_of_others_nor_its_shards(
    models_dir: Path, source: Path, tmp_path: Path
) -> None:
    parts = [tmp_path / f"part{number}.jsonl" for number in (1, 2)]
    for number, part in enumerate(parts, 1):
        run(models_dir, source, part, *WINDOW, "--shard", f"{number}/2")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    before = snapshot(tmp_path)
    for output, flags, said in (
        ("all.jsonl", ("--journal", str(mine)), "is no journal: it holds thesis.txt"),
        ("part1.jsonl", (), "are one file"),
        ("all.jsonl", ("--journal", f"{parts[0]}.migrate"), "are one file"),
        ("all.jsonl", ("--journal", f"{parts[0]}.migrate/new"), "lies in the journal of --merge"),
        ("all.jsonl", ("--rejects", str(parts[1])), "are one file"),
    ):
        for restart in RESTART:
            with pytest.raises(MigrateError, match=said):
                unite(parts, tmp_path / output, *flags, *restart)
            assert snapshot(tmp_path) == before
    unite(parts, tmp_path / "all.jsonl")
    with pytest.raises(MigrateError, match="exists; choose another --output, or --restart to replace it"):
        unite(parts, tmp_path / "all.jsonl")
    unite(parts, tmp_path / "all.jsonl", "--restart")


@pytest.mark.parametrize("call", range(1, 30))
def test_killed_while_it_claims_journal_and_output_the_same_command_goes_on(
    models_dir: Path, source: Path, tmp_path: Path, call: int
) -> None:
    """The mark is written before the first file that it names, so every file has an owner."""
    with killing(call), pytest.raises(Killed):
        run(models_dir, source, tmp_path / "out.npy", *WINDOW, "--restart")
    journal = tmp_path / "out.npy.migrate"
    if journal.exists() and {path.name for path in journal.iterdir()} - {"lock", folder_mark.FRESH}:
        mark = folder_mark.read(journal)
        assert mark is not None
        assert not folder_mark.strangers(journal, mark.files)
    run(models_dir, source, tmp_path / "out.npy", *WINDOW, "--restart")
    assert {path.name for path in tmp_path.iterdir()} - {"in", "models"} == {
        "out.npy",
        "out.ids.jsonl",
        "out.npy.migrate",
    }
