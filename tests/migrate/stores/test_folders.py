"""Store folders that contain foreign files."""

from pathlib import Path

import pytest

from server.migrate.errors import MigrateError
from tests.migrate.stores.opening import opened
from tests.migrate.stores.rows import check, rows, target

pytest.importorskip("qdrant_client", reason="needs requirements/stores.txt")


@pytest.mark.parametrize(("store", "folder"), [("qdrant", "collection/docs"), ("lancedb", "docs.lance")])
def test_a_folder_under_the_name_of_a_new_collection_is_not_taken(store: str, folder: str, tmp_path: Path) -> None:
    other = tmp_path / folder / "thesis.txt"
    other.parent.mkdir(parents=True)
    other.write_text("mine")
    with pytest.raises(MigrateError, match=r"thesis.txt.*was not made"), opened(f"{store}:{tmp_path}#docs", target()):
        pass
    assert other.read_text() == "mine"
    assert list(other.parent.iterdir()) == [other]


@pytest.mark.parametrize(("store", "folder"), [("qdrant", "collection/docs"), ("lancedb", "docs.lance")])
def test_what_lies_beside_the_files_of_a_collection_outlives_starting_over(
    store: str, folder: str, tmp_path: Path
) -> None:
    output = f"{store}:{tmp_path}#docs"
    with opened(output, target()) as sink:
        sink.write(rows(3))
    other = tmp_path / folder / "thesis.txt"
    other.write_text("mine")
    with pytest.raises(MigrateError, match=r"thesis.txt.*was not made"), opened(output, target(fresh=True)):
        pass
    assert other.read_text() == "mine"
    with opened(output, target(3)) as sink:
        check(sink, rows(3))


def test_points_that_qdrant_does_not_list_are_not_written_into(tmp_path: Path) -> None:
    output = f"qdrant:{tmp_path}#docs"
    with opened(output, target()) as sink:
        sink.write(rows(3))
    (tmp_path / "meta.json").unlink()
    with pytest.raises(MigrateError, match="holds points of no collection"), opened(output, target()):
        pass


@pytest.mark.parametrize("left", [b"", None])
def test_a_collection_that_was_killed_while_it_was_made_is_made_again(left: bytes | None, tmp_path: Path) -> None:
    output = f"qdrant:{tmp_path}#docs"
    with opened(output, target()):
        pass
    (tmp_path / "meta.json").unlink()
    if left is not None:
        (tmp_path / "collection" / "docs" / "storage.sqlite").write_bytes(left)
    with opened(output, target()) as sink:
        sink.write(rows(3))
        check(sink, rows(3))
