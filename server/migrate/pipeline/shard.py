"""Every n-th record: what one of several machines takes of the input."""

import re
from dataclasses import dataclass

from server.migrate.errors import MigrateError


@dataclass(frozen=True, slots=True)
class Shard:
    """Shard `index` of `count`, counted from 1: the records whose ordinal leaves `index` - 1 when divided by `count`.

    So no shard needs to know how many records there are, and all take the same share of long and short ones.
    """

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, value: str) -> "Shard":
        """Read `i/n`.

        Raises:
            MigrateError: it is something else.
        """
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", value)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise MigrateError(f"--shard {value}: must be i/n, with i from 1 to n")
        return cls(int(found[1]), int(found[2]))

    def ordinals(self, stop: int) -> range:
        """Its ordinals below `stop`."""
        return range(self.index - 1, stop, self.count)

    def takes(self, ordinal: int) -> bool:
        """Tell whether a record is its own."""
        return ordinal % self.count == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"
