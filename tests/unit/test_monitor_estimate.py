"""Promises about the error as it is expected without labels: exact sums, one truth for fitting and for asking."""

from __future__ import annotations

from functools import cache

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from tests.drift_stream import LATENESS_MS, PANE_MS, SCHEMA, model_event, predictions, profile_bytes, rows

from longshore.columns import Columns
from longshore.config import Settings
from longshore.errors import FormatError
from longshore.loss_model import LossModel
from longshore.monitor.decide import Decider, decide_all
from longshore.monitor.episode_state import EpisodeState, Judged, Rules
from longshore.monitor.episodes import Episodes
from longshore.monitor.estimate import NOTHING, added, chosen, estimate_of, totals_of
from longshore.monitor.messages import LabelsSeen, encode
from longshore.monitor.models import Profiles
from longshore.monitor.pages.estimates import estimate_text
from longshore.monitor.panes import PaneCounter, Tally
from longshore.monitor.policy import Policy
from longshore.monitor.service_decide import decider_settings
from longshore.records import Moved, Window
from longshore.schema import Field, Kind, Schema
from longshore.support import Known
from longshore.trainer.loss import fit_loss
from longshore.trainer.loss_export import loss_onnx
from longshore.trainer.rows import LabelledRows, from_frame

PLACED = Schema(
    name="wells",
    topic="wells",
    key="well",
    target="depth",
    fields=(Field("east", Kind.NUMERIC), Field("north", Kind.NUMERIC), Field("rock", Kind.NOMINAL)),
    place=("east", "north"),
)
GAP = 0.6
"""No well is further east than this among those that are known."""


def wells(count, seed, *, everywhere=False):
    """Wells on a square; errors of a prediction are wide in the south and narrow in the north."""
    random = np.random.default_rng(seed)
    east, north = random.random(count) * (1.0 if everywhere else GAP), random.random(count)
    data = {"east": east, "north": north, "rock": random.choice(["chalk", "flint"], count)}
    frame = {"well": [f"w{i}" for i in range(count)], "depth": 10 * east + 5 * north, **data}
    found = from_frame(pd.DataFrame(frame), PLACED)
    width = np.where(north < 0.5, 2.0, 0.5)
    return found, found.target + random.normal(0, 1, count) * width


def line(seen: LabelledRows, unseen: LabelledRows):
    """A model that knows the mean of its neighbourhood's rows only: it is lost where it has never been."""
    fitted = LinearRegression().fit(seen.columns.numeric[:, 1:], seen.target)
    return fitted.predict(unseen.columns.numeric[:, 1:])


@cache
def fitted(again=0):
    del again
    known, predictions_ = wells(1_200, 1)
    loss = fit_loss(known, predictions_, line, seed=3)
    assert loss is not None
    return loss


@pytest.fixture(scope="module")
def data():
    return loss_onnx(fitted())


@pytest.fixture(scope="module")
def model(data):
    return LossModel.load(data, PLACED)


def values(found, predicted):
    return np.concatenate([found.columns.numeric, predicted[:, np.newaxis]], axis=1).T


def test_the_same_rows_give_the_same_file(data):
    assert loss_onnx(fitted(again=1)) == data


def test_it_tells_where_errors_are_wide_and_where_nobody_has_been(model):
    found, predicted = wells(4_000, 2, everywhere=True)
    expected, outside = model.expected(values(found, predicted), found.columns.nominal)
    east, north = found.columns.numeric.T
    known = east < GAP
    real = np.abs(predicted - found.target)
    for where in (known & (north < 0.45), known & (north > 0.55)):
        assert expected[where].mean() == pytest.approx(real[where].mean(), rel=0.15)
    assert outside[east > GAP + 0.1].mean() > 0.9
    assert outside[known].mean() < 0.06


def test_it_answers_as_the_trees_it_was_made_of(model):
    """The ONNX form is scikit-learn's, on rows of both kinds."""
    loss = fitted()
    found, predicted = wells(500, 4, everywhere=True)
    given_ = values(found, predicted)
    fields, held = model._fields, Known(loss.points, loss.errors)
    numbers, codes = fields.numbers(given_), fields.codes(found.columns.nominal)
    matrix = fields.matrix(numbers, codes, held.look(fields.points(given_)))
    first, second = (
        each.predict(matrix[:, list(columns)])
        for each, columns in zip((loss.within, loss.outside), loss.columns, strict=True)
    )
    expected, outside = model.expected(given_, found.columns.nominal)
    mixed = np.maximum(np.where(outside, first + loss.spec.weight * (second - first), first), 0)
    np.testing.assert_allclose(expected, mixed, rtol=1e-5)


def test_a_row_left_out_is_looked_at_as_if_it_had_never_been_there():
    random = np.random.default_rng(5)
    points, errors = random.random((300, 2)), random.random(300)
    found = Known(points, errors).look_without(points, np.arange(300))
    for i in (0, 17, 299):
        others = np.delete(np.arange(300), i)
        distance = np.sort(np.hypot(*(points[others] - points[i]).T))[4]
        assert np.exp(found.distance[i]) == pytest.approx(distance + Known(points, errors)._floor)
    changed = errors.copy()
    changed[17] = 1e6
    same = Known(points, changed).look_without(points, np.arange(300))
    np.testing.assert_allclose(same.around[17], found.around[17])


@pytest.mark.parametrize("what", ["a category", "a number"])
def test_what_was_never_seen_is_outside(model, what):
    found, predicted = wells(50, 6)
    given_, texts = values(found, predicted), [list(column) for column in found.columns.nominal]
    if what == "a category":
        texts[0][0] = "granite"
    else:
        given_[-1, 0] = 1e9
    outside = model.expected(given_, texts)[1]
    assert outside[0]


def test_missing_values_are_answered(model):
    found, predicted = wells(50, 6)
    given_ = values(found, predicted)
    given_[:2, :] = np.nan
    expected, _ = model.expected(given_, [[None] * 50])
    assert np.isfinite(expected).all()


def test_few_rows_have_no_regressor():
    known, predicted = wells(300, 1)
    assert fit_loss(known, predicted, line, seed=3) is None


def test_a_damaged_or_newer_file_is_refused(data):
    with pytest.raises(FormatError, match="damaged"):
        LossModel.load(data[:100], PLACED)
    newer = data.replace(b'"format":1', b'"format":9')
    with pytest.raises(FormatError, match="format 9"):
        LossModel.load(newer, PLACED)
    with pytest.raises(FormatError, match="lacks"):
        LossModel.load(data, SCHEMA)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e4), st.booleans()), max_size=60), st.integers(0, 60))
def test_sums_are_the_same_in_any_pieces(told, cut):
    expected, outside = np.array([e for e, _ in told]), np.array([o for _, o in told], dtype=bool)
    whole = totals_of(expected, outside, 8.0)
    pieces = (totals_of(expected[:cut], outside[:cut], 8.0), totals_of(expected[cut:], outside[cut:], 8.0))
    assert added(*pieces) == added(*pieces[::-1]) == whole
    assert added(whole, ()) == added(NOTHING, whole) == whole


@given(st.integers(0, 2**32), st.floats(0.01, 0.99))
def test_whose_error_is_asked_for_depends_on_the_id_alone(seed, share):
    ids = np.random.default_rng(seed).integers(0, 2**32, 200, dtype=np.uint32)
    assert set(ids[chosen(ids, share)]) == {i for i in ids if i / 2**32 < np.floor(share * 2**32) / 2**32}
    assert len(chosen(ids, 1.0)) == 200


class TestOfAWindow:
    @property
    def spec(self):
        return fitted().spec

    def totals(self, mae, outside=0.0, rows=500):
        marked = np.arange(rows) < round(rows * outside)
        return totals_of(np.full(rows, mae), marked, self.spec.scale)

    def test_as_validated(self):
        found = estimate_of(self.totals(self.spec.mae), self.spec, 500)
        assert found.ratio == pytest.approx(1, abs=1e-3)
        assert not found.grew
        assert not found.unreliable
        assert found.low < found.mae < found.high

    def test_grown(self):
        assert estimate_of(self.totals(3 * self.spec.mae), self.spec, 500).grew

    def test_an_estimate_without_support_is_unreliable_and_proves_nothing(self):
        found = estimate_of(self.totals(3 * self.spec.mae, outside=0.9), self.spec, 500)
        assert found.unreliable
        assert not found.grew
        assert found.out_of_support > 0.9

    def test_few_records_tell_nothing(self):
        assert estimate_of(self.totals(1.0, rows=29), self.spec, 500) is None
        assert estimate_of((), self.spec, 500) is None


SHIPS = rows(900, 7)


@pytest.fixture(scope="module")
def ships():
    """Versions whose errors are of the cargo: twice as much of it, twice as wide."""
    numeric = SHIPS[["cargo", "crew"]].to_numpy()
    ids = [f"r{i}" for i in range(len(SHIPS))]
    columns = Columns(SCHEMA, ids, ids, np.zeros(len(SHIPS), np.int64), numeric, [SHIPS["flag"].tolist()])
    predicted = SHIPS["prediction"].to_numpy()
    target = predicted - np.random.default_rng(9).normal(0, 1, len(SHIPS)) * numeric[:, 0] / 10
    loss = fit_loss(LabelledRows(columns, target), predicted, lambda _, unseen: unseen.target * 0, seed=3)
    model = LossModel.load(loss_onnx(loss), SCHEMA)
    return Profiles(lambda _: profile_bytes(), lambda _: model)


def counted(profiles, values_, cuts, share=1.0):
    counter = PaneCounter(SCHEMA, profiles, pane_ms=PANE_MS, lateness_ms=LATENESS_MS, estimate=share)
    tally, found = Tally(), []
    for start, end in zip([0, *cuts], [*cuts, len(values_)], strict=True):
        if start < end:
            counter.count(tally, values_[start:end], range(start, end))
            found.append(encode(tally.message(0, 1)))
            tally = tally.after_commit()
    return found


def verdicts(profiles, messages):
    given_ = decider_settings(Settings(monitor={"window_records": 500, "pane_s": 1, "allowed_lateness_s": 1}), SCHEMA)
    start = [encode(LabelsSeen(0, [])), model_event("promoted")]
    outputs = decide_all(Decider(given_, profiles), enumerate([*start, *messages]))
    return [event for event in outputs.events if event.kind == "verdict" and not event.provisional]


def test_a_verdict_tells_the_estimate_whatever_the_pieces(ships):
    values_ = predictions(rows(2_000, 11))
    one = verdicts(ships, counted(ships, values_, []))
    many = verdicts(ships, counted(ships, values_, [30, 700, 701, 1_500]))
    told = [event.detail["estimate"] for event in one]
    assert told
    assert told == [event.detail["estimate"] for event in many]
    assert all(
        0.5 < each["ratio"] < 2 and each["rows"] == event.window.records for each, event in zip(told, one, strict=True)
    )


def test_a_share_of_the_records_is_asked_about(ships):
    told = verdicts(ships, counted(ships, predictions(rows(2_000, 11)), [], share=0.25))
    assert all(0.15 < event.detail["estimate"]["rows"] / event.window.records < 0.35 for event in told)


def test_a_version_without_a_regressor_has_no_estimate():
    profiles = Profiles(lambda _: profile_bytes())
    messages = counted(profiles, predictions(rows(2_000, 11)), [])
    assert all('"estimate":[]' in message.decode() for message in messages)
    assert [event.detail["estimate"] for event in verdicts(profiles, messages)] == [None] * 3


def test_panes_of_an_older_counter_are_read(ships):
    old = [msgspec.json.decode(message) for message in counted(ships, predictions(rows(2_000, 11)), [])]
    for message in old:
        for pane in message["panes"]:
            del pane["estimate"]
    told = verdicts(ships, [msgspec.json.encode(message) for message in old])
    assert [event.detail["estimate"] for event in told] == [None] * 3


MOVED = [Moved("cargo", "numeric", True, 1e-9, psi=1, kl=1, js=1, wasserstein=1, wasserstein_sigma=1, ks=1, q_value=0)]


def judged(i, *, expected, alarm=True):
    window = Window(i * 1_000, (i + 1) * 1_000, 500)
    return Judged("v1", i, window, alarm, not alarm, MOVED, {"ratio": 2.0} if expected else {})


def episodes(policy):
    machine = Episodes(Rules(2, 3, 100, 3, Policy(policy)), EpisodeState())
    machine.on_labels([(pane, 200) for pane in range(20)])
    return machine


@pytest.mark.parametrize(("grown", "asks"), [((), False), ((1,), False), ((0, 1), True), ((2, 3), True), ((2,), False)])
def test_under_harm_a_drift_asks_once_estimates_persistently_grow(grown, asks):
    machine = episodes("harm")
    told = [one for i in range(4) for one in machine.on_verdict(judged(i, expected=i in grown))]
    assert any(one.request for one in told) is asks
    if asks:
        (request,) = [one.request for one in told if one.request]
        assert request.evidence["estimate"] == {"ratio": 2.0}


def test_labels_that_deny_it_outrank_an_estimate():
    machine = episodes("harm")
    machine.state.calm_until = 3_000
    told = [one for i in range(3) for one in machine.on_verdict(judged(i, expected=True))]
    assert not any(one.request for one in told)
    assert any(
        one.request
        for one in (*machine.on_verdict(judged(3, expected=True)), *machine.on_verdict(judged(4, expected=True)))
    )


def test_an_estimate_alone_opens_nothing():
    machine = episodes("harm")
    assert not [one for i in range(6) for one in machine.on_verdict(judged(i, expected=True, alarm=False))]


def test_a_sentence_says_that_it_is_an_estimate_and_when_it_is_none(ships):
    told = verdicts(ships, counted(ships, predictions(rows(2_000, 11)), []))[0]
    assert "expected without labels" in estimate_text(told)
    told.detail["estimate"] |= {"unreliable": True, "out_of_support": 0.9}
    assert "unreliable: 90" in estimate_text(told)
    told.detail["estimate"] = None
    assert not estimate_text(told)
