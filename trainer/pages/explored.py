"""A set of rows with what was found in it, and how that is said."""

from __future__ import annotations

from dataclasses import dataclass

from longshore.columns import Floats
from longshore.pages.wording import count_text, share_text, value_text
from longshore.trainer.pages.changes import missing_share
from longshore.trainer.pages.relations import correlation
from longshore.trainer.pages.summary import Numbers, Summary, Words
from longshore.trainer.rows import LabelledRows


@dataclass(frozen=True, slots=True)
class Explored:
    """Rows, their figures, and each numeric column's correlation with the target, furthest from 0 first."""

    rows: LabelledRows
    summary: Summary
    related: list[tuple[str, float]]

    @property
    def target(self) -> str:
        """The target's name."""
        return self.summary.target.name

    def column(self, name: str) -> Floats:
        """A numeric column's values, or the target's."""
        if name == self.target:
            return self.rows.target
        names = [field.name for field in self.rows.columns.schema.numeric]
        return self.rows.columns.numeric[:, names.index(name)]


def related(rows: LabelledRows, summary: Summary) -> list[tuple[str, float]]:
    """Each numeric column's correlation with the target, furthest from 0 first."""
    found = []
    for i, column in enumerate(summary.numeric):
        r = correlation(rows.columns.numeric[:, i], rows.target)
        if r is not None:
            found.append((column.name, r))
    return sorted(found, key=lambda pair: -abs(pair[1]))


def most_lacking(summary: Summary) -> list[Numbers | Words]:
    """The columns with missing values, those with most first."""
    return sorted((column for column in summary.columns if column.missing), key=lambda column: -column.missing)


def lacking_text(column: Numbers | Words) -> str:
    """What is missing in a column, in words."""
    return f"{column.name} is missing in {count_text(column.missing, 'row')} ({share_text(missing_share(column))})"


def piled_texts(column: Numbers) -> list[str]:
    """What is piled up at a column's ends, in words."""
    ends = (("below", column.min, column.piled_low), ("above", column.max, column.piled_high))
    return [
        f"{column.name} seems cut off {way} {value_text(value, 6)}: {count_text(rows, 'row')} "
        f"({share_text(rows / column.count)}) have that very value"
        for way, value, rows in ends
        if rows
    ]
