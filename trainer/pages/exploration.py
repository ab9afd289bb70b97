"""A training set on one page: its columns in figures and pictures, how they go together, and what is new in it.

Only the rows a model is fitted on come here: who explores the test rows, tunes on them.
"""

from __future__ import annotations

from longshore.pages.document import Tile, document, header, headline
from longshore.pages.wording import count_text, share_text, value_text
from longshore.trainer.pages import tables, views
from longshore.trainer.pages.changes import changes, quartiles_text
from longshore.trainer.pages.explored import Explored, lacking_text, most_lacking, piled_texts, related
from longshore.trainer.pages.style import CSS
from longshore.trainer.pages.summary import Summary
from longshore.trainer.rows import LabelledRows


def exploration(
    rows: LabelledRows,
    summary: Summary,
    previous: Summary | None = None,
    *,
    source: str = "",
    held_back: int | None = None,
) -> str:
    """The page of a set of rows; `summary` is theirs, `previous` the last set's.

    `held_back`: how many test rows were kept out of it; None for a file as a whole.
    """
    found = Explored(rows, summary, related(rows, summary))
    schema = rows.columns.schema
    sections = [
        headline(_sentence(found), _tiles(found), [f"The rows' content has the sha256 {summary.sha256}."]),
        None if previous is None else tables.changed(changes(previous, summary)),
        tables.figures(found),
        views.categories(found),
        tables.gaps(found),
        views.histograms(found),
        views.on_the_map(found),
        views.correlations(found),
        views.scatters(found),
        tables.combinations(found),
    ]
    title = f"Training set of {schema.name}"
    subtitle = f"what {schema.target} is learned from" + (f"; source: {source}" if source else "")
    top = header(title, subtitle, count_text(summary.rows, "row"), "good" if summary.rows else "bad")
    return document(
        title, CSS, top, [section for section in sections if section is not None], _footer(found, held_back)
    )


def _sentence(found: Explored) -> str:
    summary, target = found.summary, found.summary.target
    if target.min is None:
        return f"{count_text(summary.rows, 'row')}, none with a value of {target.name}."
    told = [
        f"{count_text(summary.rows, 'row')}: {target.name} from {value_text(target.min)} to {value_text(target.max)}, "
        f"half of them up to {value_text(target.median)}."
    ]
    if found.related:
        name, r = found.related[0]
        told.append(f"{name} goes with it most (r = {r:.2f}).")
    told += [lacking_text(column) + "." for column in most_lacking(summary)[:1]]
    told += [f"{text}." for text in piled_texts(target)]
    return " ".join(told)


def _tiles(found: Explored) -> list[Tile]:
    summary = found.summary
    cells = sum(column.count + column.missing for column in summary.features)
    missing = sum(column.missing for column in summary.features)
    return [
        ("Rows", count_text(summary.rows), ""),
        ("Columns", str(len(summary.numeric) + len(summary.nominal)), f"{len(summary.nominal)} nominal"),
        ("Missing values", count_text(missing), share_text(missing / cells) if cells else ""),
        (f"Median {summary.target.name}", value_text(summary.target.median), f"half: {quartiles_text(summary.target)}"),
    ]


def _footer(found: Explored, held_back: int | None) -> str:
    made = f"Made by longshore from {count_text(found.summary.rows, 'row')}"
    if held_back is not None:
        made += f" that a model is fitted on; {count_text(held_back, 'test row')} are held back and not looked at"
    return f"{made}. Figures and histograms are of all these rows, points of a sample."
