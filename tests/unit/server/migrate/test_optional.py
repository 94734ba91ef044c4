import pytest

from server.migrate import optional
from server.migrate.errors import MigrateError


def test_what_is_not_installed_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(MigrateError, match=r"no_such_client .*pip install -r requirements/stores.txt"):
        optional.load("no_such_client.api")
