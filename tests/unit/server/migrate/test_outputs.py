import pytest

from server.migrate.errors import MigrateError
from server.migrate.outputs import guess
from server.migrate.stores.registry import is_address


@pytest.mark.parametrize(("name", "format_"), [("a.npy", "npy"), ("x/a.NPZ", "npz"), ("a.ndjson", "jsonl")])
def test_the_name_of_a_file_tells_its_format(name: str, format_: str) -> None:
    assert guess(name) == format_
    assert not is_address(name)


def test_what_cannot_be_told_is_asked_for() -> None:
    with pytest.raises(MigrateError, match="say --format"):
        guess("vectors.bin")
