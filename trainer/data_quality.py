"""What a training set is like, for its manifest, and what nobody may be trained on: pure, on rows and counts.

Refused are: too few rows, a constant target, a column that is (almost) always missing, a column that gives the target
away, too many record ids with contradicting labels, too many messages that cannot be decoded. The rest is reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from longshore.columns import Floats
from longshore.config import DatasetSettings
from longshore.errors import DataError
from longshore.schema import Field
from longshore.trainer.join import Readable
from longshore.trainer.rows import LabelledRows, check_usable
from longshore.trainer.training_set import TrainingSet

LEAK = 0.999
"""A column whose correlation with the target, by value or by rank, is above this is the target by another name."""
LEAK_ROWS = 50
"""On fewer rows nothing is said of leaks; of fewer messages nothing of what cannot be decoded."""
RARE_ROWS = 10
"""A category in fewer rows is called rare."""
CAPPED_SHARE = 0.01
"""More rows than this with one and the same extreme target: it was cut off there."""
OFTEN = 0.2
"""A column with a larger share of missing values is remarked on."""
LISTED = 64
"""Categories counted by name, the most frequent first."""


def check_readable(what: str, read: Readable, limit: float) -> None:
    """Refuse a topic of which too much cannot be decoded: `what` are its messages.

    Raises:
        DataError: with the share and an example of the reason.

    """
    if read.messages >= LEAK_ROWS and read.undecodable_share > limit:
        raise DataError(
            f"{read.undecodable_share:.1%} of the last {read.messages:,} {what} cannot be decoded by the schema, "
            f"datasets.max_undecodable = {limit:.1%} (for example: {read.reason})",
            mend="give the trainer the schema that the records have, or have them sent as the schema says",
        )


def check(found: TrainingSet, settings: DatasetSettings, min_rows: int, *, conflict: str = "") -> dict[str, Any]:
    """The quality report of a set whose fresh rows may be trained on; `conflict` is an example of contradicting labels.

    Raises:
        DataError: they may not; the message names the column, what was found and the limit.

    """
    rows, left_out = found.rows, found.left_out
    labelled = len(rows) + len(found.history or ())
    _check_conflicts(labelled, left_out.get("contradictory", 0), settings.max_contradictory, conflict)
    check_usable(rows, min_rows=min_rows, left_out=left_out)
    described = report(rows, left_out)
    judged = {name: column for name, column in described["columns"].items() if name not in settings.trusted_columns}
    _check_missing(judged, len(rows), settings.max_missing)
    leaks = {name: column["determines_target"] for name, column in judged.items() if column["determines_target"] > LEAK}
    if leaks:
        name, strength = max(leaks.items(), key=lambda pair: pair[1])
        others = f" (so do {', '.join(sorted(set(leaks) - {name}))})" if len(leaks) > 1 else ""
        raise DataError(
            f"column {name} gives the target {rows.columns.schema.target} away: their correlation is {strength:.5f}, "
            f"above {LEAK}{others}",
            mend=f"leave it out of the schema, or, if it is known before the label is, {_trusting(name)}",
        )
    return described


def report(rows: LabelledRows, left_out: Mapping[str, int]) -> dict[str, Any]:
    """Each column and the target in figures, what was left out, and in words what to look at."""
    columns, schema = rows.columns, rows.columns.schema
    first = _one_per_entity(columns.keys)
    ranks = rankdata(rows.target)
    found: dict[str, Any] = {}
    for i, field in enumerate(schema.numeric):
        found[field.name] = _numeric(field, columns.numeric[:, i], rows.target, ranks)
    for field, values in zip(schema.nominal, columns.nominal, strict=True):
        found[field.name] = _nominal(field, values, rows.target, first)
    found = {name: found[name] for name in schema.feature_names}
    target = _target(rows.target)
    return {
        "rows": len(rows),
        "entities": len(first),
        "columns": found,
        "target": target,
        "left_out": dict(left_out),
        "remarks": _remarks(schema.target, target, found),
    }


def determines(values: Floats, target: Floats, target_ranks: Floats | None = None) -> float:
    """The larger of |Pearson's| and |Spearman's| correlation over the rows where a value is there; 0 on too few."""
    there = ~np.isnan(values)
    if int(there.sum()) < LEAK_ROWS:
        return 0.0
    if not there.all():
        values, target, target_ranks = values[there], target[there], None
    ranks = rankdata(target) if target_ranks is None else target_ranks
    return max(_correlation(values, target), _correlation(rankdata(values), ranks))


def category_determines(values: list[str | None], target: Floats) -> float:
    """√(1 − within-category variance / variance): a correlation, too; 0 where too few rows share a category.

    Categories of a single row are left out: they would determine anything. The pooled variance has n − k in its
    denominator, so that many small categories do not look better than they are.
    """
    names, codes = np.unique(np.array(["" if value is None else f"={value}" for value in values]), return_inverse=True)
    sizes = np.bincount(codes, minlength=len(names))
    shared = sizes[codes] > 1
    codes, y = codes[shared], target[shared]
    groups = int((sizes > 1).sum())
    if len(y) < LEAK_ROWS or groups < 2 or len(y) <= groups or np.ptp(y) == 0:
        return 0.0
    y = (y - y.mean()) / np.ptp(y)
    means = np.bincount(codes, weights=y, minlength=len(names)) / np.maximum(sizes, 1)
    within = float(np.sum((y - means[codes]) ** 2)) / (len(y) - groups)
    return float(np.sqrt(max(0.0, 1 - within / float(np.var(y, ddof=1)))))


def _check_conflicts(labelled: int, contradictory: int, limit: float, example: str) -> None:
    share = contradictory / max(labelled + contradictory, 1)
    if share > limit:
        raise DataError(
            f"{contradictory:,} of {labelled + contradictory:,} labelled record ids ({share:.1%}) have contradicting "
            f"labels, datasets.max_contradictory = {limit:.1%} (for example: {example})",
            mend="find out which labels are right, or give different records different ids",
        )


def _check_missing(columns: Mapping[str, Any], rows: int, limit: float) -> None:
    for name, column in columns.items():
        if column["missing"] >= limit:
            empty = column["missing"] == 1
            share = f"is missing in {column['missing']:.1%} of {rows:,} rows, datasets.max_missing = {limit:.1%}"
            raise DataError(
                f"column {name} {'is empty in every row' if empty else share}",
                mend=f"fill it in, leave it out of the schema, or {_trusting(name)}",
            )


def _trusting(name: str) -> str:
    return f'allow it: datasets.trusted_columns = ["{name}"]'


def _one_per_entity(keys: list[str]) -> npt.NDArray[np.intp]:
    """The first row of each entity: an entity seen again is no second witness."""
    first: dict[str, int] = {}
    for row, key in enumerate(keys):
        first.setdefault(key, row)
    return np.fromiter(first.values(), dtype=np.intp, count=len(first))


def _numeric(field: Field, values: Floats, target: Floats, ranks: Floats) -> dict[str, Any]:
    there = values[~np.isnan(values)]
    low, high = (float(there.min()), float(there.max())) if len(there) else (None, None)
    below = 0 if field.minimum is None else int((there < field.minimum).sum())
    above = 0 if field.maximum is None else int((there > field.maximum).sum())
    return {
        "kind": field.kind.value,
        "missing": (len(values) - len(there)) / max(len(values), 1),
        "constant": bool(len(there)) and low == high,
        "minimum": low,
        "mean": float(there.mean()) if len(there) else None,
        "maximum": high,
        "out_of_range": below + above,
        "determines_target": determines(values, target, ranks),
    }


def _nominal(field: Field, values: list[str | None], target: Floats, first: npt.NDArray[np.intp]) -> dict[str, Any]:
    counts = Counter(value for value in values if value)
    unseen = {name: count for name, count in counts.items() if field.categories and name not in field.categories}
    return {
        "kind": field.kind.value,
        "missing": sum(not value for value in values) / max(len(values), 1),
        "constant": len(counts) == 1,
        "distinct": len(counts),
        "categories": dict(counts.most_common(LISTED)),
        "rare": sorted(name for name, count in counts.most_common(LISTED) if count < RARE_ROWS),
        "unseen": dict(Counter(unseen).most_common(LISTED)),
        "determines_target": category_determines([values[row] for row in first], target[first]),
    }


def _target(target: Floats) -> dict[str, Any]:
    low, high = float(target.min()), float(target.max())
    at_low, at_high = float((target == low).mean()), float((target == high).mean())
    # Of few different values, each is frequent without being a cap.
    continuous = len(np.unique(target)) * RARE_ROWS > len(target) ** 0.5
    return {
        "minimum": low,
        "mean": float(target.mean()),
        "maximum": high,
        "constant": low == high,
        "at_minimum": at_low,
        "at_maximum": at_high,
        "capped": continuous and low < high and max(at_low, at_high) > CAPPED_SHARE,
    }


def _remarks(name: str, target: Mapping[str, Any], columns: Mapping[str, Any]) -> list[str]:
    found = []
    if target["capped"]:
        side = "maximum" if target["at_maximum"] >= target["at_minimum"] else "minimum"
        found.append(f"{name} seems cut off at {target[side]:g}: {target['at_' + side]:.1%} of the rows have it")
    found += [f"{column} is constant" for column, figures in columns.items() if figures["constant"]]
    found += [
        f"{column} is missing in {figures['missing']:.1%}"
        for column, figures in columns.items()
        if figures["missing"] > 0.2
    ]
    found += [
        f"{column} has categories the schema does not list: {', '.join(list(figures['unseen'])[:5])}"
        for column, figures in columns.items()
        if figures.get("unseen")
    ]
    return found


def _correlation(a: Floats, b: Floats) -> float:
    with np.errstate(all="ignore"):
        a, b = a - a.mean(), b - b.mean()
        scale = float(np.sqrt(np.sum(a * a)) * np.sqrt(np.sum(b * b)))
        found = abs(float(np.sum(a * b))) / scale if scale else 0.0
    return found if np.isfinite(found) else 0.0
