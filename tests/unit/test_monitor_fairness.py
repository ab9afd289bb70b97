"""Groups of rows: places by attribute, exact sums, figures and tests against plain numpy, and the episode."""

import dataclasses
import functools
import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.drift_stream import PANE_MS, SCHEMA, rows
from tests.error_stream import SD, joined, labelled_decider, profiles, story, watched
from tests.join_world import label, log, prediction

from longshore.fairness_settings import AttributeSettings, FairnessSettings
from longshore.monitor.decide import decide_all
from longshore.monitor.errors import Joined, count_errors, merge, scales_of
from longshore.monitor.fairness import BIAS, GROWTH, MAE_RATIO, SELECTION, TRUE_POSITIVE, Limits, figures, holm, judge
from longshore.monitor.fairness_watch import FairnessRules, FairnessWatch
from longshore.monitor.groups import GROUP_TOTALS, Group, Grouped, Scheme, field_name
from longshore.monitor.join_errors import errors_of
from longshore.monitor.join_match import JoinReaders, Matcher, Tally
from longshore.monitor.join_rules import Lateness, Progress, Side
from longshore.monitor.join_store import JoinStore
from longshore.monitor.messages import Errors, encode, unpack_counts
from longshore.monitor.snapshots import load_snapshot
from longshore.records import FINAL

SCHEME = Scheme(
    {
        "size": AttributeSettings(field="tons", cuts=(3.0, 6.0)),
        "port": AttributeSettings(field="port", values=("A", "B", "true", "7")),
        "flag": AttributeSettings(segments="flag"),
    }
)
NAMED = [one.label for one in SCHEME.groups(watched().profile)]
FLAGS = [label for one in watched().profile.segmentations for label in one.labels]
LIMITS = Limits({MAE_RATIO: 1.25, BIAS: 0.25, GROWTH: 1.25, SELECTION: 0.1, TRUE_POSITIVE: 0.1}, 50, 0.01)


def record(tons, port):
    given = dict(zip(SCHEME.fields, (port, tons), strict=True))
    return msgspec.convert(given, SCHEME.reader())


def places(*records):
    inside = np.full((len(records), 1), -1)
    return SCHEME.places(watched().profile, [record(*each) for each in records], inside)


def test_groups_are_named_in_the_order_of_the_settings():
    assert NAMED[:3] == ["size: up to 3", "size: 3 to 6", "size: above 6"]
    assert NAMED[3:8] == ["port: A", "port: B", "port: true", "port: 7", "port: other"]
    assert NAMED[8:] == [f"flag: {label}" for label in FLAGS]


@pytest.mark.parametrize(
    ("tons", "port", "expected"),
    [
        (3, "A", ["size: up to 3", "port: A"]),
        (3.0001, "Z", ["size: 3 to 6", "port: other"]),
        (10**400, True, ["size: above 6", "port: true"]),
        (None, 7, ["", "port: 7"]),
        ("3", None, ["", ""]),
        (True, [1], ["", ""]),
    ],
)
def test_a_record_is_in_one_group_of_each_attribute_or_in_none(tons, port, expected):
    assert [NAMED[at] if at >= 0 else "" for at in places((tons, port))[0, :2]] == expected


def test_segments_are_the_profiles_and_what_is_kept_tells_how_groups_were_defined():
    inside = np.arange(-1, len(FLAGS))[:, None]
    records = [None] * len(inside)
    found = SCHEME.places(watched().profile, records, inside)
    assert [NAMED[at] if at >= 0 else "" for at in found[:, 2]] == ["", *(f"flag: {label}" for label in FLAGS)]
    tails = SCHEME.tails(watched().profile, records, inside)
    assert (SCHEME.grouped(tails).places == found).all()
    other = Scheme({"a": AttributeSettings(field="b", values=("c",))})
    assert (other.grouped(tails).places == -1).all() and other.name != SCHEME.name
    assert (SCHEME.grouped([b"", *tails[1:]]).places == np.vstack([[-1, -1, -1], found[1:]])).all()
    assert Scheme({}).tails(watched().profile, records, inside) == [b""] * len(inside)


@pytest.mark.parametrize(
    "given",
    [
        {}, {"field": "a"}, {"field": "a", "segments": "b"}, {"field": "a", "cuts": (2, 1)},
        {"field": "a", "cuts": (1,), "values": ("x",)}, {"field": "a", "values": ("x", "x")},
        {"segments": "map", "cuts": (1,)}, {"field": "a", "cuts": (float("inf"),)},
    ],
)  # fmt: skip
def test_an_attribute_is_defined_one_way(given):
    with pytest.raises(ValidationError):
        AttributeSettings(**given)


def test_there_are_not_too_many_groups():
    with pytest.raises(ValidationError, match="64 are the most"):
        FairnessSettings(groups={"a": AttributeSettings(field="a", cuts=tuple(range(64)))})


def grouped(count, seed=0):
    random = np.random.default_rng(seed)
    sizes = (3, 5, len(FLAGS))
    starts = (0, 3, 8)
    columns = [np.where(random.random(count) < 0.1, -1, random.integers(0, k, count) + at)
               for k, at in zip(sizes, starts, strict=True)]  # fmt: skip
    return Grouped(SCHEME.name, np.column_stack(columns))


def taken(whole, chosen):
    arrays = {
        field.name: getattr(whole, field.name)[chosen]
        for field in dataclasses.fields(whole)
        if field.name not in ("version", "route")
    }
    return Joined(whole.version, whole.route, **arrays)


def counted(whole, groups, chosen=slice(None)):
    return count_errors(watched(), taken(whole, chosen), SCHEME, Grouped(groups.grouping, groups.places[chosen]))


@given(cuts=st.lists(st.integers(0, 240), max_size=4), seed=st.integers(0, 50), data=st.data())
@settings(max_examples=20, deadline=None)
def test_sums_by_group_add_up_in_any_pieces_and_order(cuts, seed, data):
    whole, groups = joined([3, 4, 5, 9], seed, a_pane=60), grouped(240, seed)
    order = np.random.default_rng(seed).permutation(240)
    bounds = sorted({0, 240, *cuts})
    pieces = [counted(whole, groups, order[a:b]) for a, b in itertools.pairwise(bounds)]
    shuffled = data.draw(st.permutations([delta for piece in pieces for delta in piece]))
    assert merge(shuffled) == counted(whole, groups)


def totals_of(whole, groups):
    flat = [unpack_counts(delta.groups).reshape(-1, GROUP_TOTALS) for delta in counted(whole, groups)]
    return functools.reduce(np.add, flat)


def test_figures_by_group_are_numpys():
    whole, groups = joined([1, 2], 4, a_pane=500), grouped(1_000, 4)
    found = figures(SCHEME.groups(watched().profile), totals_of(whole, groups), watched().profile, 50)
    error = whole.predictions - whole.labels
    for at, one in enumerate(found[:-1]):
        inside = error[(groups.places == at).any(axis=1)]
        assert one["n"] == len(inside)
        assert one["mae"] == pytest.approx(np.abs(inside).mean(), rel=2e-3)
        assert one["rmse"] == pytest.approx(np.sqrt((inside**2).mean()), rel=2e-3)
        assert one["bias"] == pytest.approx(inside.mean(), abs=1e-3)
        assert one["mae_interval"][0] < one["mae"] < one["mae_interval"][1]
    assert found[-1]["group"] == "all" and found[-1]["n"] == 1_000


def test_a_group_that_is_off_is_found_and_only_that_one():
    whole, groups = joined([1, 2], 5, a_pane=2_000), grouped(4_000, 5)
    off = groups.places[:, 0] == 1
    whole.labels[off] += (whole.predictions - whole.labels)[off] * -1.0 + 0.5  # e doubles, and half of it is a bias
    found = judge(SCHEME.groups(watched().profile), totals_of(whole, groups), watched().profile, LIMITS)
    breaches = {(one.group.label, one.measure) for one in found if one.breach}
    assert breaches == {("size: 3 to 6", MAE_RATIO), ("size: 3 to 6", BIAS)}
    error = np.abs(whole.predictions - whole.labels)
    (ratio,) = [one for one in found if one.group.label == "size: 3 to 6" and one.measure == MAE_RATIO]
    assert ratio.value == pytest.approx(error[off].mean() / error.mean(), rel=1e-2)
    assert ratio.low < ratio.value < ratio.high


def test_a_ratio_that_was_there_on_held_out_rows_has_not_grown():
    whole, groups = joined([1, 2], 6, a_pane=2_000), grouped(4_000, 6)
    off = groups.places[:, 2] == 8
    whole.labels[off] -= (whole.predictions - whole.labels)[off]
    found = judge(SCHEME.groups(watched().profile), totals_of(whole, groups), watched().profile, LIMITS)
    grown = {one.group.label for one in found if one.measure == GROWTH and one.breach}
    assert grown == {NAMED[8]}
    assert {one.group.attribute for one in found if one.measure == GROWTH} == {"flag"}


def test_few_rows_are_not_judged_and_said_to_be_too_few():
    whole, groups = joined([1], 1, a_pane=60), grouped(60, 1)
    assert judge(SCHEME.groups(watched().profile), totals_of(whole, groups), watched().profile, LIMITS) == []
    told = figures(SCHEME.groups(watched().profile), totals_of(whole, groups), watched().profile, 50)
    assert all(one["insufficient"] for one in told[:-1]) and not told[-1]["insufficient"]


def test_rates_of_two_classes_are_compared():
    groups, parts = [Group("a", "x"), Group("a", "y")], np.zeros((3, GROUP_TOTALS), dtype=np.int64)
    parts[0, [0, 5, 6, 7, 8]] = [1_000, 250, 250, 250, 250]
    parts[1, [0, 5, 6, 7, 8]] = [1_000, 450, 250, 50, 250]
    parts[2] = parts[0] + parts[1]
    parts[:, 2], parts[:, 3] = parts[:, 0], parts[:, 0] * 2
    found = {(one.group.name, one.measure): one for one in judge(groups, parts, watched().profile, LIMITS)}
    assert found["x", SELECTION].value == pytest.approx(0.5 - 0.6)
    assert found["x", TRUE_POSITIVE].value == pytest.approx(0.5 - 0.7) and found["x", TRUE_POSITIVE].breach
    assert not found["x", SELECTION].breach  # just at its limit
    told = figures(groups, parts, watched().profile, 50)
    assert told[0][SELECTION] == 0.5 and told[1][TRUE_POSITIVE] == 0.9


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holms_p_values_are_no_smaller_and_keep_their_order(p_values):
    found = holm(p_values)
    assert all(a >= b for a, b in zip(found, p_values, strict=True))
    by_size = [found[at] for at in np.argsort(p_values, kind="stable")]
    assert by_size == sorted(by_size)


def test_at_its_limit_a_ratio_breaches_no_more_often_than_stated():
    """Errors of a group wider so that its ratio is just the limit: 5 % of 1,000 windows, two standard errors more."""
    random, limits, breaches = np.random.default_rng(3), Limits({MAE_RATIO: 1.25}, 50, 0.05), 0
    scale = scales_of(watched().profile).error
    for _ in range(1_000):
        n, m = 150, 600
        # w = 0.2: a/(0.2a + 0.8) = 1.25 for a = 4/3.
        sides = [np.rint(random.normal(0, sd, k) * scale) for sd, k in ((SD * 4 / 3, n), (SD, m))]
        rows = [[len(e), e.sum(), np.abs(e).sum(), (e**2).sum(), 0, 0, 0, 0, 0] for e in sides]
        totals = np.array([rows[0], np.add(*rows)], dtype=np.int64)
        breaches += any(one.breach for one in judge([Group("a", "x")], totals, watched().profile, limits))
    assert 20 < breaches < 50 + 2 * np.sqrt(47.5)


# From window to window.

RULES = FairnessRules(SCHEME, LIMITS, 500, 2, 3)


def labels(pane, seed, *, off=False, version="v1"):
    whole, groups = joined([pane], seed, a_pane=500, version=version), grouped(500, seed)
    if off:
        chosen = groups.places[:, 0] == 1
        whole.labels[chosen] -= 2 * (whole.predictions - whole.labels)[chosen]
    return Errors(0, 1, 0, 0, count_errors(watched(), whole, SCHEME, groups))


def watch(state=None):
    one = FairnessWatch(RULES, profiles(), PANE_MS, state)
    if state is None:
        one.begin("v1")
    return one


COURSE = [False, True, False, False, True, True, True, False, False, False, False]


def test_an_episode_opens_once_a_breach_persists_and_ends_when_it_is_over():
    one = watch()
    told = [each for at, off in enumerate(COURSE) for each in one.add(labels(at, at, off=off))]
    changes = [(each.kind, each.index) for each in told if each.kind != "fairness"]
    assert [kind for kind, _ in changes if kind != "fairness_changed"] == ["fairness_alert", "fairness_over"]
    assert changes[0] == ("fairness_alert", 5) and changes[-1] == ("fairness_over", 9)
    alert, over = (next(each for each in told if each.kind == f"fairness_{kind}") for kind in ("alert", "over"))
    assert alert.episode == over.episode and alert.detail["since"] == over.detail["since"] == 4 * PANE_MS
    assert ("3 to 6", MAE_RATIO) in [(each["group"], each["measure"]) for each in alert.detail["breaches"]]
    assert len([each for each in told if each.kind == "fairness"]) == len(COURSE)


def test_a_new_era_ends_the_episode_and_other_groups_do_not_count():
    one = watch()
    for at in range(3):
        list(one.add(labels(at, at, off=True)))
    assert one.state.episode and [each.kind for each in one.begin("v2")] == ["fairness_over"]
    assert list(one.add(labels(1, 1, off=True))) == []  # the old version's
    other = count_errors(watched(), joined([1], 1, version="v2", a_pane=500))
    (told,) = one.add(Errors(0, 1, 0, 0, other))
    assert told.detail["ungrouped"] == 500 and told.detail["findings"] == []


def decider(snapshot=None):
    plain = labelled_decider(snapshot)
    settings = dataclasses.replace(plain._settings, fairness=RULES)
    return type(plain)(settings, profiles(), snapshot)


def test_the_decider_tells_it_beside_the_rest_and_a_restart_decides_the_same():
    values = [*story(0.0, 1.0), *(encode(labels(at + 5, at, off=off)) for at, off in enumerate(COURSE))]
    messages = list(enumerate(values))
    whole = decide_all(decider(), messages)
    kinds = [event.kind for event in whole.events if event.cause == "fairness" and event.kind != "fairness"]
    assert kinds[0] == "fairness_alert" and kinds[-1] == "fairness_over"
    assert whole.requests == decide_all(labelled_decider(), messages).requests  # the loss test's, as without groups
    assert all(event.status == FINAL for event in whole.events)
    for cut in range(len(messages) - len(COURSE), len(messages), 2):
        before = decider()
        first = decide_all(before, messages[:cut])
        saved = load_snapshot(before.snapshot())
        after = decider(saved)
        for offset, value in messages[saved.replay_from : cut]:
            after.rebuild(offset, value)
        assert first.events + decide_all(after, messages[cut:]).events == whole.events, cut


def test_a_snapshot_from_before_groups_is_read():
    one = decider()
    decide_all(one, list(enumerate(story(0.0, 1.0))))
    plain = msgspec.json.decode(one.snapshot())
    plain.pop("fairness")
    again = decider(load_snapshot(msgspec.json.encode(plain | {"format": 4})))
    assert again.fairness.state.version == "v1"


def test_a_joiner_keeps_groups_of_fields_the_schema_does_not_know_beside_what_waits(tmp_path):
    owner = AttributeSettings(field="owner", values=("x", "y"))
    scheme = Scheme({"owner": owner, "flag": AttributeSettings(segments="flag")})
    frame = rows(60, 9)
    sent = []
    for i, row in enumerate(frame.itertuples(index=False)):
        value = msgspec.json.decode(prediction(f"r{i}", i * 10, row))
        value["record"] |= {"owner": [*"xyz"][i % 3]} if i % 4 else {}
        sent.append(msgspec.json.encode(value))
    truth = [label(f"r{i}", i * 10, i * 10 + 5, 1.0) for i in range(60)]
    lateness = Lateness(10_000)

    def read(reading, store, saved):
        matcher, tally = Matcher(1, JoinReaders(SCHEMA, profiles(), lateness, 4, reading), store, saved), Tally()
        return matcher, tally

    store = JoinStore(tmp_path / "a.sqlite", 2_000_000)
    matcher, tally = read(scheme, store, Progress.anew("a", lateness.width, 0))
    matcher.take(Side.PREDICTIONS, log("p", sent[:40]), tally)
    later, _ = read(Scheme({"owner": owner}), store, matcher.progress)  # a restart with other settings
    later.take(Side.PREDICTIONS, log("p", sent)[40:], tally)
    matcher.take(Side.LABELS, log("l", truth), tally)
    assert len(tally.met) == 60
    deltas = errors_of(tally, profiles(), PANE_MS, scheme)
    totals = sum(unpack_counts(delta.groups).reshape(-1, GROUP_TOTALS) for delta in deltas)
    owners = [i % 3 for i in range(40) if i % 4]
    flags = frame["flag"].tolist()[:40]
    expected = [owners.count(0), owners.count(1), owners.count(2), *(flags.count(flag) for flag in FLAGS), 60]
    assert totals[:, 0].tolist() == expected
    assert all(not delta.groups for delta in errors_of(tally, profiles(), PANE_MS))


def test_fields_may_be_called_anything():
    one = Scheme({"a": AttributeSettings(field="class name", values=("x",))})
    found = msgspec.json.decode(b'{"class name": "x", "more": 1}', type=one.reader())
    assert getattr(found, field_name(0)) == "x"
