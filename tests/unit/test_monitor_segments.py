"""Segments: every row in one, the right one named, and never more than can be judged."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tests.drift_stream import SCHEMA, predictions, rows

from longshore.monitor import Reference, distances
from longshore.monitor.binning import bin_column
from longshore.monitor.frames import read_as
from longshore.monitor.messages import unpack_small
from longshore.monitor.models import Profiles, Watched
from longshore.monitor.panes import PaneCounter, Tally
from longshore.monitor.segments import (
    _counted,
    by_category,
    by_place,
    count,
    counted_segments,
    likelihood_ratio_p,
    members,
    window_segments,
)

PLACED = replace(SCHEMA, place=("cargo", "crew"))


def test_a_place_cuts_rows_into_equal_cells():
    random = np.random.default_rng(0)
    x, y = random.normal(size=8_000), random.normal(size=8_000)
    cells = by_place("x", "y", x, y)
    found = members(cells, {"x": x, "y": y})
    assert len(cells.labels) == 16
    assert np.bincount(found).tolist() == pytest.approx([500] * 16, abs=2)


def test_rows_without_a_place_are_in_no_cell():
    cells = by_place("x", "y", np.arange(40.0), np.arange(40.0) % 7)
    found = members(cells, {"x": np.array([1.0, np.nan, 5.0]), "y": np.array([np.inf, 2.0, 3.0])})
    assert found[:2].tolist() == [-1, -1]
    assert found[2] >= 0


@pytest.mark.parametrize("values", [np.zeros(0), np.zeros(10), np.full(5, np.nan)])
def test_a_place_of_nothing_or_of_one_point_is_one_cell(values):
    cells = by_place("x", "y", values, values)
    assert len(cells.labels) == sum(len(up) + 1 for up in cells.ups)
    assert len(members(cells, {"x": values, "y": values})) == len(values)


def test_only_the_most_frequent_categories_are_segments():
    values = [f"c{i % 40}" for i in range(400)] + ["c3"] * 10 + [None]
    found = by_category("c", values)
    assert found.labels[0] == "c3"
    assert len(found.labels) == 16
    assert set(members(found, {"c": [None, "new", "c3"]})) == {-1, 0}


@given(st.lists(st.integers(-1, 3), min_size=1, max_size=60), st.integers(1, 59))
def test_counts_add_up_in_any_pieces(rows_in, cut):
    inside = np.array(rows_in)
    cells = np.stack([np.arange(len(inside)) % 3, 3 + np.arange(len(inside)) % 2], axis=1)
    whole = count(inside, 4, cells, 5)
    assert np.array_equal(whole, count(inside[:cut], 4, cells[:cut], 5) + count(inside[cut:], 4, cells[cut:], 5))
    assert whole.sum() == 2 * np.count_nonzero(inside >= 0)


def test_the_likelihood_ratio_is_scipys_without_the_correction_for_few_rows():
    p, q = np.array([5_000, 3_000, 2_000, 0]), np.array([520, 260, 220, 0])
    expected = stats.chi2_contingency(np.vstack([p, q])[:, :3], correction=False, lambda_="log-likelihood").pvalue
    streams = np.r_[p, p[:2]], np.r_[q, q[:2]]
    found = likelihood_ratio_p(*map(np.array, streams), np.array([0, 4]))
    of_two = stats.chi2_contingency(np.vstack([p, q])[:, :2], correction=False, lambda_="log-likelihood").pvalue
    assert found == pytest.approx([expected, of_two], rel=0.02)
    assert likelihood_ratio_p(p, np.zeros(4, dtype=int), np.array([0])) == 1
    assert likelihood_ratio_p(np.array([3, 0]), np.array([9, 0]), np.array([0])) == 1


def test_segments_are_ranked_by_scipys_numbers_and_never_by_their_own_stream(placed):
    profile = placed.profile
    frame = rows(2_000, 8)
    frame.loc[frame["flag"] == "LR", "cargo"] *= 1.5
    found = placed.compare(frame).segments
    assert (found[0].segmentation, found[0].segment, found[0].stream) == ("flag", "LR", "cargo")
    assert all(one.stream != "flag" for one in found if one.segmentation == "flag")
    assert not {"cargo", "crew"} & {one.stream for one in found if one.segmentation == "map"}
    assert [one.p_value for one in found] == sorted(one.p_value for one in found)
    top = found[0]
    (flags,) = [one for one in profile.segmentations if one.name == "flag"]
    k = [stream.name for stream in profile.streams].index("cargo")
    at = sum(int(stream.coarse[-1]) + 1 for stream in profile.streams[:k])
    p = flags.counts[flags.labels.index("LR")][at : at + int(profile.streams[k].coarse[-1]) + 1]
    inside = frame["flag"] == "LR"
    q = np.bincount(
        profile.streams[k].coarse[bin_column(profile.streams[k], frame["cargo"][inside].to_numpy())], minlength=len(p)
    )
    assert top.js == pytest.approx(distances.jensen_shannon(distances.shares(p), distances.shares(q)), abs=1e-12)
    assert top.rows == inside.sum()
    assert top.share == pytest.approx(inside.mean())


def test_the_stream_counts_segments_as_the_library_does(placed):
    frame = rows(1_500, 9)
    frame.loc[3, "flag"], frame.loc[4, "flag"], frame.loc[5, "cargo"] = "XX", None, np.nan
    watched = Watched.of(placed.profile.to_bytes())
    pane_counter = PaneCounter(PLACED, Profiles(lambda _: placed.profile.to_bytes()), pane_ms=1_000, lateness_ms=1_000)
    tally = Tally()
    values = [value.replace(b"NaN", b"null") for value in predictions(frame)]
    for cut in (slice(0, 700), slice(700, 1_500)):
        pane_counter.count(tally, values[cut], list(range(1_500))[cut])
    panes = [unpack_small(delta.segments) for delta in tally.message(0, 1).panes]
    assert len(panes) == 15
    columns = read_as(frame, [(stream.name, stream.kind) for stream in placed.profile.streams])
    bins = [bin_column(s, c.values) for s, c in zip(watched.profile.streams, columns, strict=True)]
    expected = np.concatenate(_counted(watched.profile, watched.profile.segmentations, columns, bins))
    assert np.array_equal(np.sum(panes, axis=0).reshape(expected.shape), expected)
    assert expected.sum() > 0
    told = counted_segments(watched.profile, np.sum(panes, axis=0), 1_500)
    assert told == window_segments(watched.profile, columns, bins)
    assert counted_segments(watched.profile, np.zeros(0, np.int64), 1_500) == []


@pytest.fixture(scope="module")
def placed():
    return Reference.fit(rows(5_000, 7), ["flag"], place=("cargo", "crew"))
