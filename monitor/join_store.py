"""The file where one partition's predictions and labels wait for each other: a cache of what can be read again.

Kafka is where they are safe: the file may be lost, damaged or old at any time. It says itself how far it goes
(`saved`), in the same transaction as its rows. Which rows meet, `longshore.monitor.join` decides.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from longshore.errors import UnavailableError

AT_ONCE = 500
"""Ids asked for in one statement."""

CHECKPOINT_PAGES = 8_000
"""Pages (4 KB) written ahead before they are copied into their place: most are written more than once before."""

_TABLES = """
CREATE TABLE IF NOT EXISTS predictions (
  offset INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, time INTEGER NOT NULL, seen INTEGER NOT NULL,
  version TEXT, route TEXT, prediction REAL, low REAL, high REAL, segments BLOB, label REAL);
CREATE INDEX IF NOT EXISTS predictions_time ON predictions (time);
CREATE TABLE IF NOT EXISTS labels (
  offset INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, time INTEGER NOT NULL, seen INTEGER NOT NULL,
  label REAL NOT NULL, misplaced INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS labels_time ON labels (time);
CREATE TABLE IF NOT EXISTS saved (one INTEGER PRIMARY KEY CHECK (one = 1), state BLOB NOT NULL);
"""
"""Rows are appended by offset; only ids come in any order. A prediction that has its label keeps the label alone."""

_KEPT = "p.offset, p.id, p.time, p.seen, p.version, p.route, p.prediction, p.low, p.high, p.segments, p.label"


class Kept(NamedTuple):
    """A prediction as it waits; `label` and no more of it than its times once that has come.

    `segments`: a byte for the place in each of the profile's segmentations, then its groups (`groups.Scheme.tails`).
    """

    offset: int
    id: str
    time: int
    seen: int
    version: str
    route: str
    prediction: float
    low: float | None
    high: float | None
    segments: bytes
    label: float | None = None


class Waiting(NamedTuple):
    """A label as it waits; `misplaced`: whether its entity leads to another partition."""

    offset: int
    id: str
    time: int
    seen: int
    label: float
    misplaced: int


class Expired(NamedTuple):
    """How many rows were let go unmet."""

    predictions: int
    labels: int


class JoinStore:
    """One partition's file, for one thread. Changes are kept by `save`, or undone by `rollback`.

    Raises (whatever is called):
        UnavailableError: the file cannot be written or read.

    """

    def __init__(self, path: Path, cache_bytes: int) -> None:
        self._path = path
        try:
            self._connection = self._open(cache_bytes)
        except sqlite3.DatabaseError:
            self._remove()
            with self._told():
                self._connection = self._open(cache_bytes)

    def _open(self, cache_bytes: int) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None)
        try:
            # With a log written ahead, whatever dies leaves the last transactions out, and nothing half done.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {8_192 * CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA cache_size = {-(cache_bytes // 1_024)}")
            connection.executescript(_TABLES)
            connection.execute("BEGIN")
            connection.execute("SELECT state FROM saved").fetchone()
        except sqlite3.DatabaseError:
            connection.close()
            raise
        return connection

    def saved(self) -> bytes | None:
        """What was last saved; None for a new file."""
        with self._told():
            row = self._connection.execute("SELECT state FROM saved").fetchone()
        return None if row is None else bytes(row[0])

    def save(self, state: bytes) -> None:
        """Keep all changes, and with them what they are."""
        with self._told():
            self._connection.execute("INSERT OR REPLACE INTO saved VALUES (1, ?)", (state,))
            self._connection.execute("COMMIT")
            self._connection.execute("BEGIN")

    def rollback(self) -> None:
        """Undo all changes since the last `save`."""
        with self._told():
            self._connection.execute("ROLLBACK")
            self._connection.execute("BEGIN")

    def begin_anew(self, state: bytes) -> None:
        """Forget all rows."""
        with self._told():
            for table in ("predictions", "labels"):
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608  # names of our own
        self.save(state)

    def add_predictions(self, rows: Sequence[Kept]) -> list[Kept]:
        """Add predictions in the order of their offsets; those whose id is there already are left out and returned."""
        if not rows:
            return []
        with self._told():
            before = self._connection.total_changes
            self._connection.executemany(
                "INSERT OR IGNORE INTO predictions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
            )
            if self._connection.total_changes - before == len(rows):
                return []
            query = "SELECT offset FROM predictions WHERE offset BETWEEN ? AND ?"
            added = {offset for (offset,) in self._connection.execute(query, (rows[0].offset, rows[-1].offset))}
        return [row for row in rows if row.offset not in added]

    def add_labels(self, rows: Sequence[Waiting]) -> None:
        """Add labels whose ids are not there."""
        with self._told():
            self._connection.executemany("INSERT INTO labels VALUES (?, ?, ?, ?, ?, ?)", rows)

    def predictions_of(self, ids: Sequence[str]) -> dict[str, Kept]:
        """The predictions of these record ids, as far as they are there."""
        rows = self._of(f"SELECT {_KEPT} FROM predictions p WHERE p.id IN", ids)  # noqa: S608  # names of our own
        return {row[1]: Kept._make(row) for row in rows}

    def labels_of(self, ids: Sequence[str]) -> dict[str, float]:
        """The labels that wait under these record ids."""
        return dict(self._of("SELECT id, label FROM labels WHERE id IN", ids))

    def met(self, first: int, last: int) -> list[tuple[Kept, Waiting]]:
        """Predictions from offset `first` to `last` without label, each with the label that waits under its id."""
        query = (
            f"SELECT {_KEPT}, l.* FROM predictions p CROSS JOIN labels l ON l.id = p.id "  # noqa: S608
            "WHERE p.offset BETWEEN ? AND ? AND p.label IS NULL"
        )
        with self._told():
            rows = self._connection.execute(query, (first, last)).fetchall()
        width = len(Kept._fields)
        return [(Kept._make(row[:width]), Waiting._make(row[width:])) for row in rows]

    def label(self, pairs: Iterable[tuple[float, int]]) -> None:
        """Give predictions their labels, as (label, the prediction's offset)."""
        query = (
            "UPDATE predictions SET label = ?, version = NULL, route = NULL, prediction = NULL, low = NULL, "
            "high = NULL, segments = NULL WHERE offset = ?"
        )
        with self._told():
            self._connection.executemany(query, pairs)

    def remove_labels(self, offsets: Iterable[int]) -> None:
        """Let go of labels that have met."""
        with self._told():
            self._connection.executemany("DELETE FROM labels WHERE offset = ?", ((offset,) for offset in offsets))

    def expire(self, horizon: int) -> Expired:
        """Let go of everything from before `horizon`; how much of it had not met."""
        with self._told():
            counts = []
            for table, unmet in (("predictions", "AND label IS NULL"), ("labels", "")):
                query = f"SELECT count(*) FROM {table} WHERE time < ? {unmet}"  # noqa: S608  # names of our own
                counts.append(self._connection.execute(query, (horizon,)).fetchone()[0])
                self._connection.execute(f"DELETE FROM {table} WHERE time < ?", (horizon,))  # noqa: S608
        return Expired(*counts)

    def close(self) -> None:
        """Undo what is not saved, and close the file."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("ROLLBACK")
        self._connection.close()

    def _of(self, query: str, ids: Sequence[str]) -> Iterator[Any]:
        for at in range(0, len(ids), AT_ONCE):
            part = ids[at : at + AT_ONCE]
            with self._told():
                found = self._connection.execute(f"{query} ({', '.join('?' * len(part))})", part).fetchall()
            yield from found

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise UnavailableError(
                f"the join's file {self._path}: {error}",
                mend="see that its disk has room; the file may be deleted: it is made again from Kafka",
            ) from error
