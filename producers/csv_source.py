"""A CSV file as a source of records: once or over and over, in the file's order or shuffled by a seed.

The file's order is usually geographic, which is drift in itself: shuffle for a stable stream. Reading and refusing
files is `longshore.dataset`'s work.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from longshore import dataset
from longshore.producers.rows import Index, Rows
from longshore.schema import Kind, Schema


class CsvReplay:
    """Rows of a frame as `longshore.dataset.read_csv` gives it. A row keeps its entity id in every loop.

    With `shuffle_seed` each loop has a random order of its own, drawn from (seed, loop).
    """

    def __init__(
        self, frame: pd.DataFrame, schema: Schema, *, loop: bool = False, shuffle_seed: int | None = None
    ) -> None:
        columns = {
            field.name: frame[field.name].to_numpy(dtype=np.float64 if field.kind is Kind.NUMERIC else object)
            for field in schema.fields
        }
        keys, target = frame[schema.key].to_numpy(dtype=object), frame[schema.target].to_numpy(dtype=np.float64)
        self._all = Rows(np.arange(len(frame)), keys, columns, target)
        self._loop = loop
        self._shuffle_seed = shuffle_seed
        self._order: tuple[int, Index] = (-1, self._all.index)

    @classmethod
    def read(
        cls, path: Path, schema: Schema, *, require_target: bool, loop: bool, shuffle_seed: int | None
    ) -> CsvReplay:
        """A file's rows; DataError where the file cannot be used."""
        frame = dataset.read_csv(path, schema, require_target=require_target)
        return cls(frame, schema, loop=loop, shuffle_seed=shuffle_seed)

    @property
    def length(self) -> int | None:
        """The file's rows, or None for a loop without end."""
        return None if self._loop else len(self._all)

    def rows(self, start: int, count: int) -> Rows:
        """Records `start` … `start + count − 1`; fewer at the end of a file that is not looped."""
        size = len(self._all)
        end = start + count if self._loop else min(start + count, size)
        parts = [
            self._positions(loop)[max(start - loop * size, 0) : end - loop * size]
            for loop in range(start // size, -(-end // size))
        ]
        chosen = np.concatenate(parts) if parts else self._all.index[:0]
        return self._all.take(chosen).numbered(start)

    def pool(self) -> Rows:
        """Every row of the file."""
        return self._all

    def _positions(self, loop: int) -> Index:
        if self._shuffle_seed is None:
            return self._all.index
        if self._order[0] != loop:
            rng = np.random.default_rng([self._shuffle_seed, loop])
            self._order = (loop, rng.permutation(len(self._all)))
        return self._order[1]
