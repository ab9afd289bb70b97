"""A training set in pictures: categories, histograms, a map, correlations, columns against one another."""

from __future__ import annotations

import numpy as np

from longshore.pages.document import legend, scrolling
from longshore.pages.markup import Markup, tag
from longshore.pages.wording import count_text, value_text
from longshore.trainer.housing import size_column
from longshore.trainer.pages import maps, pictures
from longshore.trainer.pages.explored import Explored
from longshore.trainer.pages.relations import correlation_ratio, matrix
from longshore.trainer.pages.summary import Words

MAP_POINTS, SCATTER_POINTS = 6_000, 1_200
MATRIX_COLUMNS, SCATTER_COLUMNS = 14, 4
"""Columns most correlated with the target that are drawn with one another, besides the target."""
CATEGORIES = 20
PICTURES = 200
"""Histograms on a page at most."""


def categories(found: Explored) -> Markup | None:
    """Rows by category, and the target in each."""
    if not found.summary.nominal:
        return None
    blocks = [
        tag("figure", tag("h4", column.name), scrolling(_category_bars(column, found)))
        for column in found.summary.nominal
    ]
    told = f"Rows by category, and the median {found.target} of each."
    return tag("section", tag("h2", "Categories"), tag("p", told, class_="quiet"), tag("div", *blocks, class_="two"))


def _category_bars(column: Words, found: Explored) -> Markup:
    names = [field.name for field in found.rows.columns.schema.nominal]
    values = np.array([word or "" for word in found.rows.columns.nominal[names.index(column.name)]], dtype=object)
    shown = list(column.categories.items())[:CATEGORIES]
    entries: list[tuple[str, float, str]] = []
    for word, count in shown:
        middle = float(np.median(found.rows.target[values == word]))
        entries.append((word, count, f"{count:,} · {value_text(middle)}"))
    rest = column.count - sum(count for _, count in shown)
    if rest:
        entries.append((f"{column.distinct - len(shown):,} others", rest, f"{rest:,}"))
    if column.missing:
        entries.append(("(missing)", column.missing, f"{column.missing:,}"))
    return pictures.bars(entries, f"{column.name}: {count_text(column.distinct, 'category', 'categories')}")


def histograms(found: Explored) -> Markup:
    """How every numeric column is distributed."""
    columns = [found.summary.target, *found.summary.numeric][:PICTURES]
    figures = [
        tag(
            "figure",
            tag("h4", column.name + (" (target)" if not at else "")),
            pictures.histogram(found.column(column.name), column.name),
        )
        for at, column in enumerate(columns)
    ]
    told = f"All rows by value, in {pictures.BINS} columns of equal width, or one for each whole number."
    return tag(
        "section",
        tag("h2", "Histograms"),
        tag("p", told, class_="quiet"),
        tag("div", *figures, class_="small-pictures"),
    )


def on_the_map(found: Explored) -> Markup | None:
    """The target on the map, where the schema has a place."""
    columns, schema = found.rows.columns, found.rows.columns.schema
    place = maps.place_of(columns)
    if place is None or schema.place is None or not len(found.rows):
        return None
    chosen = maps.sample(columns, MAP_POINTS)
    name = size_column(schema)
    size = found.column(name) if name is not None else None
    x, y = (axis[chosen] for axis in place)
    drawn = maps.target_map(x, y, found.rows.target[chosen], None if size is None else size[chosen], schema.place)
    told = [sampled(len(chosen), len(found.rows)), f"Colours: {found.target}, a seventh of these rows each."]
    if size is not None and (sizes := maps.size_told(size[chosen])):
        told.append(f"A point's area: {name}, {sizes}.")
    keys = legend(maps.colour_keys(found.rows.target[chosen]))
    beside = tag("div", keys, *(tag("p", each, class_="quiet") for each in told))
    return tag("section", tag("h2", f"{found.target} on the map"), tag("div", scrolling(drawn), beside, class_="two"))


def sampled(shown: int, rows: int) -> str:
    """Which rows are drawn, in words."""
    if shown == rows:
        return f"All {count_text(rows, 'row')}."
    return f"{shown:,} of {rows:,} rows, chosen by a hash of their ids: the same ones whenever they are in a set."


def correlations(found: Explored) -> Markup | None:
    """What goes with the target, and what with what."""
    entries = [(name, r, pictures.hundredths(r)) for name, r in found.related]
    schema = found.rows.columns.schema
    for field, values in zip(schema.nominal, found.rows.columns.nominal, strict=True):
        eta = correlation_ratio(values, found.rows.target)
        if eta is not None:
            entries.append((field.name, eta, f"η {eta:.2f}"))
    if not entries:
        return None
    bars = pictures.signed_bars(entries[:40], f"correlation of each column with {found.target}")
    parts = [tag("h2", f"Correlations with {found.target}"), scrolling(bars)]
    told = "Pearson's r over the rows that have both values"
    if schema.nominal:
        told += "; for a nominal column η, the root of the share of the target's variance between its categories"
    parts.append(tag("p", told + ".", class_="quiet"))
    names = [found.target, *(name for name, _ in found.related[:MATRIX_COLUMNS])]
    if len(names) > 2:
        drawn = pictures.heat(names, matrix([found.column(name) for name in names]), "correlation of each with each")
        parts += [tag("h3", "Each with each"), scrolling(drawn)]
    return tag("section", *parts)


def scatters(found: Explored) -> Markup | None:
    """The columns most correlated with the target, against one another."""
    names = [found.target, *(name for name, _ in found.related[:SCATTER_COLUMNS])]
    if len(names) < 2:
        return None
    chosen = maps.sample(found.rows.columns, SCATTER_POINTS)
    drawn = pictures.scatter_matrix(names, [found.column(name)[chosen] for name in names])
    told = f"The columns most correlated with the target. {sampled(len(chosen), len(found.rows))}"
    return tag(
        "section",
        tag("h2", "Scatter matrix"),
        scrolling(drawn),
        tag("p", told, class_="quiet"),
    )
