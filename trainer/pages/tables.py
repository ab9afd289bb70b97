"""A training set as tables and lists: its columns in figures, what is missing, what changed, what ratios tell."""

from __future__ import annotations

import numpy as np

from longshore.pages.document import table
from longshore.pages.markup import Markup, tag
from longshore.pages.wording import count_text, listed, share_text, value_text
from longshore.trainer.pages.changes import Changes, Moved, missing_share, quartiles_text
from longshore.trainer.pages.contents import facts
from longshore.trainer.pages.explored import Explored, lacking_text, most_lacking, piled_texts
from longshore.trainer.pages.pictures import hundredths
from longshore.trainer.pages.relations import correlation, ratio


def changed(found: Changes) -> Markup:
    """What is new since the last set."""
    head = tag("h2", "What changed since the last set")
    if found.same:
        return tag("section", head, tag("p", "Nothing: these are the same rows."))
    told = [f"{count_text(found.rows_then, 'row')} then, {count_text(found.rows_now)} now.", *found.told]
    caption = (
        "Now, and below it then; σ: how many standard deviations the mean went, most moved first, in red where far."
    )
    heads = ("column", "mean", "σ", "median", "middle half", "minimum", "maximum", "missing")
    return tag("section", head, facts(told), table(caption, heads, [_moved_row(each) for each in found.columns]))


def _moved_row(each: Moved) -> Markup:
    then, now = each.then, each.now
    pairs = [[value_text(getattr(side, name), 4) for side in (now, then)] for name in ("mean", "median", "min", "max")]
    pairs.insert(2, [quartiles_text(side) for side in (now, then)])
    pairs.append([share_text(missing_share(side)) for side in (now, then)])
    cells = [tag("td", after, tag("small", before)) for after, before in pairs]
    way = "–" if each.sigma is None else hundredths(each.sigma, "+")
    cells.insert(1, tag("td", way, class_="over" if each.notable else None))
    return tag("tr", tag("th", now.name, scope="row", class_="name"), *cells)


def figures(found: Explored) -> Markup:
    """Every numeric column's count, mean, spread and quantiles."""
    names = ("count", "missing", "distinct", "mean", "std", "min", "25 %", "50 %", "75 %", "max")
    rows = []
    for column in found.summary.numbers:
        values = (column.mean, column.std, column.min, column.q25, column.median, column.q75, column.max)
        whole = [tag("td", count_text(each)) for each in (column.count, column.missing, column.distinct)]
        cells = [tag("td", value_text(value, 4)) for value in values]
        rows.append(tag("tr", tag("th", column.name, scope="row", class_="name"), *whole, *cells))
    caption = "Numeric columns, the target last."
    return tag("section", tag("h2", "Columns in figures"), table(caption, ("column", *names), rows, "tight"))


def gaps(found: Explored) -> Markup:
    """Missing values, and those piled up at a column's ends."""
    told = [lacking_text(column) + "." for column in most_lacking(found.summary)] or ["No value is missing."]
    piled = [f"{text}." for column in found.summary.numbers for text in piled_texts(column)]
    alike = [
        f"{column.name} is {value_text(column.min, 6)} wherever it is known."
        for column in found.summary.numbers
        if column.distinct == 1
    ]
    empty = [f"{column.name} has no value at all." for column in found.summary.columns if not column.count]
    what = (
        "Values are called piled up where a column's smallest or largest has several times the rows of its neighbours."
    )
    return tag(
        "section",
        tag("h2", "Missing and capped values"),
        facts([*told, *piled, *alike, *empty]),
        tag("p", what, class_="quiet"),
    )


def combinations(found: Explored) -> Markup | None:
    """What the schema's ratios tell beyond their parts."""
    derived = found.rows.columns.schema.derived
    if not derived:
        return None
    rows, better = [], []
    known = dict(found.related)
    for each in derived:
        values = ratio(found.column(each.numerator), found.column(each.denominator))
        found_r = (correlation(values, found.rows.target), known.get(each.numerator), known.get(each.denominator))
        telling = abs(found_r[0] or 0.0) > max(abs(found_r[1] or 0.0), abs(found_r[2] or 0.0))
        better += [each.name] if telling else []
        cells = [tag("td", "–" if r is None else hundredths(r)) for r in found_r]
        parts = tag("td", f"{each.numerator} / {each.denominator}")
        middle = values[np.isfinite(values)]
        cells.append(tag("td", value_text(float(np.median(middle))) if len(middle) else "–"))
        rows.append(tag("tr", tag("th", each.name, scope="row", class_="name"), parts, *cells))
    told = f"{listed(better, 5)} say more of {found.target} than either part." if better else ""
    heads = ("combination", "of", "r", "r of the numerator", "r of the denominator", "median")
    caption = f"The schema's ratios: their correlation with {found.target} beside that of their parts. {told}"
    return tag("section", tag("h2", "Attribute combinations"), table(caption, heads, rows))
