"""Divides the input among several machines: shard i of n is every n-th record, starting at the i-th."""

import re
from dataclasses import dataclass

from server.migrate.errors import MigrateError


@dataclass(frozen=True, slots=True)
class Shard:
    """Shard `index` of `count`, counted from 1: the records with ordinal mod `count` = `index` - 1.

    So no shard needs to know the number of records, and long and short ones are spread evenly.
    """

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, value: str) -> "Shard":
        """Read `i/n`.

        Raises:
            MigrateError: it is malformed.
        """
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", value)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise MigrateError(f"--shard {value}: must be i/n, with i from 1 to n")
        return cls(int(match[1]), int(match[2]))

    def ordinals(self, stop: int) -> range:
        """Return this shard's ordinals below `stop`."""
        return range(self.index - 1, stop, self.count)

    def takes(self, ordinal: int) -> bool:
        """Return whether the record with this ordinal belongs to this shard."""
        return ordinal % self.count == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"
