import pytest

from server import setting_values as values


@pytest.mark.parametrize(("value", "path"), [("/a/b/", "/a/b"), ("/", ""), ("", "")])
def test_a_base_path_has_no_slash_at_its_end(value: str, path: str) -> None:
    assert values.base_path(value) == path


def test_aliases_are_names_once_each() -> None:
    assert values.aliases("text-embedding-3-small, a/b:latest,a/b:latest") == (
        "text-embedding-3-small",
        "a/b:latest",
    )
