"""Detects repeated ids with an index on disk, because an index in memory would grow with the input."""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from server.migrate.ownership import owned_files
from server.migrate.pipeline.shard import Shard
from server.migrate.record import Record

INSERT = "INSERT OR IGNORE INTO ids VALUES (?, ?)"


class DuplicateIds:
    """Maps each id to the ordinal of its first record. Nothing is stored while every id equals its ordinal.

    The index may be ahead of the journal: a record that is processed again has the same ordinal. Each call is one
    transaction.
    """

    def __init__(self, path: Path, shard: Shard) -> None:
        # Checked first, because SQLite would follow a link.
        os.close(owned_files.open_or_create(path))
        # Used by one thread at a time, which need not be the one that created it.
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._kept = bool(self._database.execute("SELECT 1 FROM sqlite_master").fetchone())
        self._shard = shard

    def repeats(self, records: Sequence[Record]) -> dict[int, str]:
        """Add the next `records`; return an error message by ordinal for each whose id occurred before.

        An empty id marks a record that could not be read, and is not checked.
        """
        if not self._kept and all(record.id == str(record.ordinal) for record in records):
            return {}
        self._add(records)
        firsts = ((record.ordinal, self._first(record)) for record in records if record.id)
        repeated = ((ordinal, first) for ordinal, first in firsts if first != ordinal)
        return {ordinal: f"its id is that of record {first}; ids must differ" for ordinal, first in repeated}

    def close(self) -> None:
        """Close the database."""
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
