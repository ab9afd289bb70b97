"""What two versions of a training set differ in: rows by record id, and each column's summary. Pure, on tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

EXAMPLES = 5
"""Record ids named of each kind of difference."""


def compare(before: pa.Table, after: pa.Table) -> dict[str, Any]:
    """Rows only in one, rows of one id with other values (and in which columns), and columns only in one.

    Rows are found by the first column, the record id; the other columns by name.
    """
    a, b = (table.to_pandas().set_index(table.column_names[0]) for table in (before, after))
    shared = [name for name in a.columns if name in b.columns]
    both = a.index.intersection(b.index)
    left, right = a.loc[both, shared], b.loc[both, shared]
    differs = pd.DataFrame({name: _unlike(left[name], right[name]) for name in shared}, index=both)
    changed = differs.index[differs.any(axis="columns")] if shared else both[:0]
    return {
        "rows": {"before": len(a), "after": len(b), "same": len(both) - len(changed)},
        "removed": _listed(a.index.difference(b.index, sort=False)),
        "added": _listed(b.index.difference(a.index, sort=False)),
        "changed": {**_listed(changed), "columns": {name: int(n) for name, n in differs.sum().items() if n}},
        "columns": {
            "removed": [str(name) for name in a.columns if name not in b.columns],
            "added": [str(name) for name in b.columns if name not in a.columns],
        },
    }


def summaries(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of each column, and of the target, that are not the same in two quality reports: [before, after]."""
    found: dict[str, Any] = {}
    sides = [{**side["columns"], "(target)": side["target"]} for side in (before, after)]
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        old, new = (side.get(name, {}) for side in sides)
        moved = {key: [old.get(key), new.get(key)] for key in {**old, **new} if old.get(key) != new.get(key)}
        if moved:
            found[name] = moved
    return found


def _unlike(left: pd.Series[Any], right: pd.Series[Any]) -> pd.Series[bool]:
    return (left != right) & ~(left.isna() & right.isna())


def _listed(ids: pd.Index[Any]) -> dict[str, Any]:
    return {"count": len(ids), "examples": [str(one) for one in ids[:EXAMPLES]]}
