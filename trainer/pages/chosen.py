"""How a model was chosen, from a manifest's `search`: the candidates, under- and overfitting, and what it goes by.

The shape of `search` is stated in `longshore.trainer.search`; a part that is not there is not told of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from longshore.pages.document import legend
from longshore.pages.markup import Markup, tag
from longshore.pages.wording import count_text, share_text, value_text
from longshore.trainer.pages import pictures
from longshore.trainer.pages.contents import Picture, Section, Table, interval_text
from longshore.trainer.pages.pictures import Plot

SHOWN = 15
"""Candidates in the table; the manifest has more."""


def chosen(search: Mapping[str, Any]) -> Section | None:
    """None where the manifest tells of no candidate."""
    candidates = search.get("candidates") or []
    if not candidates:
        return None
    name, why = search.get("chosen"), str(search.get("why", "why is not told")).rstrip(".")
    told = [
        f"Chosen: {name}, of {count_text(len(candidates), 'candidate')}: {why}. "
        f"{count_text(search.get('fits') or 0, 'fit')} on {count_text(search.get('rows') or 0, 'row')} in "
        f"{count_text(search.get('folds') or 0, 'fold')}, with the profile {search.get('profile', '–')}."
    ]
    if search.get("stopped"):
        told.append(f"The search ended before its plan did: the budget of {search['stopped']} was used up.")
    curve, weights = search.get("learning_curve") or [], search.get("importances") or []
    best: Mapping[str, Any] = next((each for each in candidates if each.get("name") == name), {})
    told += [*_fitting(best), *_more_rows(curve), *_goes_by(weights)]
    drawn = ([_curve(curve)] if len(curve) > 1 else []) + ([_importances(weights)] if weights else [])
    return Section("How it was chosen", told, [_table(candidates, name)], drawn)


def _fitting(best: Mapping[str, Any]) -> list[str]:
    train, validated = best.get("train_rmse"), best.get("rmse")
    if train is None or not validated:
        return []
    over = share_text(max(1 - train / validated, 0.0))
    return [
        f"Its RMSE is {value_text(train)} on the rows it was fitted on, {value_text(validated)} on those of other "
        f"folds: {over} of the error is overfitting."
    ]


def _more_rows(curve: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the last step of the learning curve brought: whether more rows would help."""
    if len(curve) < 2:
        return []
    before, after = curve[-2], curve[-1]
    gain = 1 - after["rmse"] / before["rmse"] if before["rmse"] else 0.0
    return [
        f"From {count_text(before['rows'])} to {count_text(after['rows'], 'row')} the RMSE went "
        f"{'down' if gain >= 0 else 'up'} by {share_text(abs(gain))}."
    ]


def _goes_by(weights: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns that matter most, in words."""
    most = [f"{each['column']} {value_text(float(each['rmse_increase']))}" for each in weights[:5]]
    return [f"What it goes by, as the RMSE added when a column's values are dealt out anew: {', '.join(most)}."][
        : len(most)
    ]


def _table(candidates: Sequence[Mapping[str, Any]], name: object) -> Table:
    shown = [*candidates[:SHOWN], *(each for each in candidates[SHOWN:] if each.get("name") == name)]
    rows = [
        (
            str(each.get("name")) + (" (chosen)" if each.get("name") == name else ""),
            str(each.get("stage", "–")),
            value_text(each.get("rmse")),
            interval_text(each.get("interval")),
            value_text(each.get("train_rmse")),
            str(each.get("fits", "–")),
            "yes" if each.get("servable", True) else "no",
        )
        for each in shown
    ]
    heads = ("candidate", "stage", "RMSE", "95 % interval", "on fitted rows", "fits", "servable")
    rest = f" The best {len(shown)} of {len(candidates)}." if len(shown) < len(candidates) else ""
    return Table(f"Cross-validated on the training rows alone, best first.{rest}", heads, rows)


def _curve(curve: Sequence[Mapping[str, Any]]) -> Picture:
    """RMSE by rows, on the rows fitted on and on others; the band is the latter's interval."""
    rows = np.array([each["rows"] for each in curve], dtype=np.float64)
    sides = [("train_rmse", "below"), ("rmse", "above")]
    known = [each[key] for each in curve for key in ("train_rmse", "rmse") if each.get(key) is not None]
    ends = [end for each in curve for end in each.get("interval") or () if end is not None and np.isfinite(end)]
    plot = Plot.of((0.0, float(rows.max())), (min([*known, *ends]) * 0.95, max([*known, *ends]) * 1.03), 420, 300)
    parts: list[Markup] = plot.grid("rows fitted on", "RMSE")
    for each in curve:
        if each.get("interval"):
            low, high = (plot.y.at(end) for end in each["interval"])
            x = plot.x.at(each["rows"])
            parts.append(tag("line", class_="whisker", x1=x, x2=x, y1=low, y2=high))
    for key, kind in sides:
        points = [(plot.x.at(each["rows"]), plot.y.at(each[key])) for each in curve if each.get(key) is not None]
        parts.append(tag("polyline", class_=f"curve {kind}", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points)))
        parts += [tag("circle", class_=f"curve-dot {kind}", cx=x, cy=y, r=3.5) for x, y in points]
    told = legend([("above", "on rows of other folds, with its 95 % interval"), ("below", "on the rows fitted on")])
    return Picture("Learning curve", plot.svg("square", "RMSE by the number of rows fitted on", *parts), told)


def _importances(found: Sequence[Mapping[str, Any]]) -> Picture:
    entries = [
        (str(each["column"]), max(float(each["rmse_increase"]), 0.0), value_text(float(each["rmse_increase"])))
        for each in found
    ]
    drawn = pictures.bars(entries, "how much each column matters")
    return Picture("What it goes by: RMSE added when a column is dealt out anew", drawn)
