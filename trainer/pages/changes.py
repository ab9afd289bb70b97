"""What is different from the last training set: column by column, from two summaries."""

from __future__ import annotations

from dataclasses import dataclass

from longshore.pages.wording import count_text, listed, share_text, value_text
from longshore.trainer.pages.summary import Numbers, Summary, Words

NOTABLE_SIGMA = 0.1
"""A mean that moved further than this many of the last set's standard deviations is marked."""
NOTABLE_SHARE = 0.02
"""So is a category's or the missing values' share that moved further."""


@dataclass(frozen=True, slots=True)
class Moved:
    """One numeric column then and now; `sigma` is the mean's way in the last set's standard deviations."""

    then: Numbers
    now: Numbers
    sigma: float | None

    @property
    def notable(self) -> bool:
        """Whether a reader should look at it."""
        lacking = abs(missing_share(self.now) - missing_share(self.then))
        return (self.sigma is not None and abs(self.sigma) > NOTABLE_SIGMA) or lacking > NOTABLE_SHARE


@dataclass(frozen=True, slots=True)
class Changes:
    """The rows then and now, columns in both (most moved first), and in words what else is new."""

    rows_then: int
    rows_now: int
    same: bool
    columns: list[Moved]
    told: list[str]


def missing_share(column: Numbers | Words) -> float:
    """Missing values per row, 0 … 1."""
    rows = column.count + column.missing
    return column.missing / rows if rows else 0.0


def changes(then: Summary, now: Summary) -> Changes:
    """Compare two summaries; they may be of different schemas."""
    before = {column.name: column for column in then.numbers}
    both = [_moved(before[column.name], column) for column in now.numbers if column.name in before]
    both.sort(key=lambda each: -abs(each.sigma or 0.0))
    told = _columns_told(then, now)
    words = {column.name: column for column in then.nominal}
    for column in now.nominal:
        if column.name in words:
            told += _words_told(words[column.name], column)
    return Changes(then.rows, now.rows, then.sha256 == now.sha256, both, told)


def _moved(then: Numbers, now: Numbers) -> Moved:
    if then.mean is None or now.mean is None:
        return Moved(then, now, None)
    way = now.mean - then.mean
    return Moved(then, now, way / then.std if then.std else (0.0 if way == 0 else None))


def _columns_told(then: Summary, now: Summary) -> list[str]:
    names = [[column.name for column in each.columns] for each in (then, now)]
    told = []
    for words, here, there in (("New columns", names[1], names[0]), ("Columns no longer there", names[0], names[1])):
        if found := [name for name in here if name not in there]:
            told.append(f"{words}: {listed(found, 10)}.")
    return told


def _words_told(then: Words, now: Words) -> list[str]:
    told = []
    # Where categories were left out of a summary, a name that is not in it may have been there.
    if len(then.categories) == then.distinct and (
        new := [word for word in now.categories if word not in then.categories]
    ):
        told.append(f"{now.name} has new categories: {listed([_with_rows(word, now) for word in new], 10)}.")
    if len(now.categories) == now.distinct and (
        gone := [word for word in then.categories if word not in now.categories]
    ):
        told.append(f"{now.name} no longer has: {listed([_with_rows(word, then) for word in gone], 10)}.")
    for word, count in now.categories.items():
        share, before = count / now.count, then.categories.get(word, 0) / max(then.count, 1)
        if before and abs(share - before) > NOTABLE_SHARE:
            told.append(f"{now.name} {word}: {share_text(before)} of the values then, {share_text(share)} now.")
    if abs(missing_share(now) - missing_share(then)) > NOTABLE_SHARE:
        told.append(
            f"{now.name} is missing in {share_text(missing_share(now))} of the rows, "
            f"then in {share_text(missing_share(then))}."
        )
    return told


def _with_rows(word: str, column: Words) -> str:
    return f"{word} ({count_text(column.categories[word], 'row')})"


def quartiles_text(column: Numbers) -> str:
    """The middle half: 2.6 … 4.7."""
    return f"{value_text(column.q25, 4)} … {value_text(column.q75, 4)}"
