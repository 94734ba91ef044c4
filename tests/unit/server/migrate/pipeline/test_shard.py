import pytest

from server.migrate.errors import MigrateError
from server.migrate.pipeline.shard import Shard


def test_shards_share_out_every_ordinal_once() -> None:
    shards = [Shard.parse(f"{index}/3") for index in (1, 2, 3)]
    taken = [[ordinal for ordinal in range(10) if shard.takes(ordinal)] for shard in shards]
    assert taken == [list(shard.ordinals(10)) for shard in shards] == [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]


@pytest.mark.parametrize("value", ["", "1", "0/2", "3/2", "1/0", "a/b", "-1/2"])
def test_what_is_no_shard_is_refused(value: str) -> None:
    with pytest.raises(MigrateError, match="must be i/n"):
        Shard.parse(value)
