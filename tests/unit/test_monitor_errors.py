"""Joined labels to integers: exact in any pieces and order, and the figures are numpy's on the same rows."""

import dataclasses
import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.drift_stream import SCHEMA, predictions, profile_bytes, rows
from tests.error_stream import joined, watched

from longshore.error_profile import SEGMENT_TOTALS
from longshore.errors import FormatError
from longshore.monitor.class_figures import class_figures
from longshore.monitor.errors import LIMIT, Joined, count_errors, merge, numbers, scales_of, segments_of, together
from longshore.monitor.loss_limits import error_profile
from longshore.monitor.messages import (
    MAX_BYTES,
    Errors,
    decode,
    encode,
    errors_in_pieces,
    unpack_counts,
    unpack_small,
)
from longshore.monitor.models import Watched
from longshore.monitor.performance import excess, figures_of, segment_errors, validation_of
from longshore.monitor.scored import ScoredDecoder
from longshore.profile import Profile
from longshore.trainer.classes import classification


def taken(whole, chosen):
    arrays = {
        field.name: getattr(whole, field.name)[chosen]
        for field in dataclasses.fields(whole)
        if field.name not in ("version", "route")
    }
    return Joined(whole.version, whole.route, **arrays)


@given(cuts=st.lists(st.integers(0, 240), max_size=4), seed=st.integers(0, 50), data=st.data())
@settings(max_examples=25, deadline=None)
def test_any_pieces_in_any_order_add_up_to_the_whole(cuts, seed, data):
    whole = joined([3, 4, 5, 9], seed, a_pane=60)
    order = np.random.default_rng(seed).permutation(240)
    bounds = sorted({0, 240, *cuts})
    pieces = [count_errors(watched(), taken(whole, order[a:b])) for a, b in itertools.pairwise(bounds)]
    shuffled = data.draw(st.permutations([delta for piece in pieces for delta in piece]))
    assert merge(shuffled) == count_errors(watched(), whole)


def test_extreme_values_saturate_and_bad_rows_are_left_out():
    whole = joined([1], a_pane=6)
    whole.labels[:] = [1e300, -1e300, np.nan, np.inf, 0.0, 1.0]
    (delta,) = count_errors(watched(), whole)
    assert delta.n == 4
    assert delta.absolute >= 2 * LIMIT
    grown = functools.reduce(lambda one, _: together(one, one), range(25), delta)
    assert grown.squared == grown.label_squared == 2**62
    assert decode(encode(Errors(0, 1, 0, 0, [grown]))).panes == [grown]


@given(seed=st.integers(0, 1_000), shift=st.floats(-2, 2), width=st.floats(0.1, 5))
@settings(max_examples=25, deadline=None)
def test_figures_are_numpys(seed, shift, width):
    whole = joined([1, 2], seed, shift=shift, width=width, a_pane=200)
    whole.low[:300], whole.high[:300] = whole.predictions[:300] - 0.5, whole.predictions[:300] + 0.5
    sums = np.sum([numbers(delta) for delta in count_errors(watched(), whole)], axis=0).tolist()
    found = figures_of(sums, scales_of(watched().profile), *sums[-2:])
    error = whole.predictions - whole.labels
    near = pytest.approx
    assert found.n == 400
    assert found.rmse == near(np.sqrt(np.mean(error**2)), rel=1e-3)
    assert found.mae == near(np.mean(np.abs(error)), rel=2e-3)
    assert found.bias == near(np.mean(error), abs=1e-3)
    assert found.r2 == near(1 - np.sum(error**2) / np.sum((whole.labels - whole.labels.mean()) ** 2), abs=5e-3)
    assert found.coverage == near(np.mean(np.abs(error[:300]) <= 0.5))
    assert found.mse_error == near(np.std(error**2, ddof=1) / 20, rel=0.03)
    assert found.mae_error == near(np.std(np.abs(error), ddof=1) / 20, rel=0.02)
    assert found.rmse_interval[0] < found.rmse < found.rmse_interval[1]


def test_segments_hold_their_rows_and_the_grown_one_comes_first():
    whole = joined(list(range(40)))
    one = whole.segments[:, 0] == 1
    whole.labels[one] -= 2.0
    totals = sum(unpack_counts(delta.segments).reshape(-1, SEGMENT_TOTALS) for delta in count_errors(watched(), whole))
    assert totals[1, 0] == np.count_nonzero(one)
    assert totals[:, 0].sum() == np.count_nonzero(whole.segments >= 0)
    first, *others = segment_errors(watched().profile, totals)
    assert first.segment == watched().profile.segmentations[0].labels[1]
    assert first.p_value < 1e-9 < min(each.p_value for each in others)


def test_places_of_scored_rows_are_those_of_the_profile():
    frame = rows(300, 5)
    columns = ScoredDecoder(SCHEMA).decode(predictions(frame))
    found = segments_of(watched(), SCHEMA, columns, np.arange(10, 300))
    labels = [label for one in watched().profile.segmentations for label in one.labels]
    assert [labels[place] for place in found[:, 0]] == frame["flag"].tolist()[10:]


def test_a_profile_with_errors_is_read_back_and_one_without_gives_figures_and_no_bins():
    data = watched().profile.to_bytes()
    assert Profile.from_bytes(data).to_bytes() == data
    assert validation_of(watched().profile).rmse == pytest.approx(0.5, rel=0.05)
    older = Watched.of(profile_bytes())
    assert older.profile.errors is None and validation_of(older.profile) is None
    (delta,) = count_errors(older, joined([1]))
    assert delta.bins == ""
    found = figures_of(numbers(delta), scales_of(older.profile))
    assert found.rmse == pytest.approx(0.5, rel=0.3)
    assert excess(found, None) is None


def test_an_error_that_grew_is_told_from_one_that_did_not():
    def judged(**given):
        sums = np.sum([numbers(delta) for delta in count_errors(watched(), joined([1], a_pane=2_000, **given))], axis=0)
        return excess(figures_of(sums.tolist(), scales_of(watched().profile)), validation_of(watched().profile))

    assert judged(width=1.3).grew and judged(shift=0.4).grew
    assert not judged().grew
    assert not judged(width=0.7).grew and judged(width=0.7).calm


def test_messages_come_in_pieces_that_fit_and_older_readers_are_told():
    deltas = count_errors(watched(), joined(list(range(3_500)), a_pane=2))
    pieces = errors_in_pieces(Errors(2, 4, 10, 7_009, deltas, late=3))
    assert len(pieces) > 1 and all(len(encode(piece)) < MAX_BYTES + 1_000 for piece in pieces)
    assert [delta for piece in pieces for delta in decode(encode(piece)).panes] == deltas
    assert [piece.late for piece in pieces] == [0] * (len(pieces) - 1) + [3]
    assert {piece.format for piece in pieces} == {4}
    with pytest.raises(FormatError):
        decode(encode(Errors(0, 1, 0, 0, [], format=99)))


def test_bins_are_the_profiles_quantiles():
    counts = watched().profile.errors.counts
    assert counts.sum() == 5_000 and counts.max() - counts.min() <= 2
    whole = joined([1], a_pane=500)
    (delta,) = count_errors(watched(), whole)
    bins = np.searchsorted(watched().profile.errors.edges, whole.predictions - whole.labels)
    assert unpack_small(delta.bins).tolist() == np.bincount(bins, minlength=len(counts)).tolist()


def test_two_classes_have_the_trainers_figures():
    random = np.random.default_rng(1)
    probability = random.random(3_000)
    labels = (random.random(3_000) < probability).astype(float)
    predictions = np.round(probability * 64) / 64
    older = watched().profile
    inside = np.full((3_000, len(older.segmentations)), -1)
    profile = dataclasses.replace(older, errors=error_profile(older, predictions, labels, inside))
    known = Watched.of(profile.to_bytes())
    nan, panes = np.full(3_000, np.nan), np.repeat([1, 2, 3], 1_000)
    deltas = count_errors(known, Joined("v1", "champion", panes, predictions, labels, nan, nan, inside))
    found = class_figures(sum(unpack_small(delta.classes) for delta in deltas))
    expected = classification(predictions, labels, np.arange(3_000))
    del expected["accuracy_interval"]
    expected["auc_roc"] = pytest.approx(expected["auc_roc"], abs=0.003)
    assert found == expected
    assert class_figures(known.profile.errors.classes) == found
    assert not len(watched().profile.errors.classes), "a delay is no class"
