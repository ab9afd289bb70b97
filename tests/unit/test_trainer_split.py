"""The split is a function of the entity's id alone, balanced, and independent of the folds."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.trainer_rows import make_rows

from longshore.schema import districts
from longshore.trainer.split import fold_of, group_codes
from longshore.trainer.split import test_mask as in_test
from longshore.trainer.strata import report, strata

KEYS = [str(i) for i in range(20_000)]


def test_the_split_of_known_ids_never_changes() -> None:
    """Golden: another hash would move entities between the sides of versions in use."""
    assert [key for key in KEYS[:30] if in_test([key], 0.2)[0]] == ["0", "2", "4", "5", "12", "16", "19"]


def test_the_share_is_kept() -> None:
    assert abs(in_test(KEYS, 0.2).mean() - 0.2) < 0.01


@given(st.lists(st.text(max_size=8), max_size=30), st.randoms())
def test_rows_added_moved_or_repeated_change_no_side(keys: list[str], random: object) -> None:
    side = dict(zip(keys, in_test(keys, 0.3).tolist(), strict=True))
    random.shuffle(keys)  # type: ignore[attr-defined]
    longer = [*keys, "new", *keys]
    assert all(side.get(key, flag) == flag for key, flag in zip(longer, in_test(longer, 0.3).tolist(), strict=True))


def test_a_larger_share_only_adds_entities() -> None:
    assert not (in_test(KEYS, 0.2) & ~in_test(KEYS, 0.3)).any()


def test_folds_keep_entities_together_and_are_independent_of_the_split() -> None:
    fold = fold_of(KEYS, 3)
    assert (fold_of(KEYS + KEYS, 3) == np.tile(fold, 2)).all()
    inside = np.bincount(fold[in_test(KEYS, 0.2)]) / in_test(KEYS, 0.2).sum()
    assert np.abs(inside - 1 / 3).max() < 0.03


def test_group_codes_number_entities() -> None:
    codes = group_codes(["b", "a", "b"])
    assert codes[0] == codes[2] != codes[1]


def test_strata_shares_are_counted_and_an_unfair_split_is_seen() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0, np.nan] * 200)
    edges = np.array([1.5, 3.0])
    fair = strata(values, edges, np.arange(1_000) % 10 < 5)
    assert [s.rows for s in fair] == [200, 400, 200] and [s.above for s in fair] == [None, 1.5, 3.0]
    assert report(fair)["balanced"]
    unfair = report(strata(values, edges, values > 3))
    assert not unfair["balanced"] and unfair["largest_difference"] == 0.75


def test_rows_split_without_loss() -> None:
    rows = make_rows(districts(), 300)
    train, test = rows.split(in_test(rows.columns.keys, 0.2))
    assert sorted(train.columns.record_ids + test.columns.record_ids) == sorted(rows.columns.record_ids)
    assert not set(train.columns.keys) & set(test.columns.keys)
