"""Ids that came already, kept on disk: an index in memory would grow with the input."""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from server.migrate.ownership import owned_files
from server.migrate.pipeline.shard import Shard
from server.migrate.record import Record

INSERT = "INSERT OR IGNORE INTO ids VALUES (?, ?)"


class DuplicateIds:
    """The ordinal that each id came with first. While every id is its ordinal there is nothing to keep.

    What is kept may be ahead of the journal: a record that comes again has the same ordinal. Each step is one
    transaction, so that an interruption leaves all of it or nothing.
    """

    def __init__(self, path: Path, shard: Shard) -> None:
        # SQLite would follow a link to whatever database it leads to.
        os.close(owned_files.open_or_create(path))
        # Used by one thread at a time, which need not be the one that made it.
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._kept = bool(self._database.execute("SELECT 1 FROM sqlite_master").fetchone())
        self._shard = shard

    def repeats(self, records: Sequence[Record]) -> dict[int, str]:
        """Return, by ordinal, what is wrong with those of the next `records` whose ids came before.

        A record without an id could not be read: it takes no other record's.
        """
        if not self._kept and all(record.id == str(record.ordinal) for record in records):
            return {}
        self._add(records)
        firsts = ((record.ordinal, self._first(record)) for record in records if record.id)
        repeated = ((ordinal, first) for ordinal, first in firsts if first != ordinal)
        return {ordinal: f"its id is that of record {first}; ids must differ" for ordinal, first in repeated}

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def _add(self, records: Sequence[Record]) -> None:
        execute, many = self._database.execute, self._database.executemany
        execute("BEGIN")
        if not self._kept:
            execute("CREATE TABLE ids (id BLOB PRIMARY KEY, first INTEGER) WITHOUT ROWID")
            many(INSERT, ((b"%d" % ordinal, ordinal) for ordinal in self._shard.ordinals(records[0].ordinal)))
        many(INSERT, ((_key(record), record.ordinal) for record in records if record.id))
        execute("COMMIT")
        self._kept = True

    def _first(self, record: Record) -> int:
        (first,) = self._database.execute("SELECT first FROM ids WHERE id = ?", (_key(record),)).fetchone()
        return int(first)


def _key(record: Record) -> bytes:
    return record.id.encode("utf-8", "surrogatepass")
