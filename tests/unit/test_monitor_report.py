"""False discoveries among the ranked streams: Benjamini and Hochberg's q-values, in reports and in events."""

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from longshore.monitor import Reference
from longshore.monitor.report import benjamini_hochberg
from longshore.records import Moved

P_VALUES = st.lists(
    st.one_of(st.floats(1e-300, 1), st.sampled_from([1e-300, 0.01, 0.02, 0.05, 1.0])), min_size=1, max_size=40
).map(np.array)


def defined(p_values, at):
    """The smallest rate r at which the step-up rule rejects p_values[at]: p₍ⱼ₎ ≤ r·j/n for some j at or behind it."""
    ranked, count = sorted(p_values), len(p_values)
    behind = [p * count / j for j, p in enumerate(ranked, start=1) if p >= p_values[at]]
    return min(1.0, *behind)


@given(P_VALUES)
def test_q_values_are_the_definition_and_scipys(p_values):
    found = benjamini_hochberg(p_values)
    assert found == pytest.approx([defined(p_values, at) for at in range(len(p_values))], rel=1e-12)
    assert found == pytest.approx(stats.false_discovery_control(p_values), rel=1e-12)
    assert np.all(found >= p_values) and np.all(found <= 1)


@given(P_VALUES, st.randoms())
def test_q_values_rank_as_p_values_do_and_do_not_depend_on_the_order(p_values, random):
    found = benjamini_hochberg(p_values)
    assert np.all(np.diff(found[np.argsort(p_values)]) >= 0)
    order = random.sample(range(len(p_values)), len(p_values))
    assert np.array_equal(benjamini_hochberg(p_values[order]), found[order])


def test_the_share_of_false_discoveries_is_what_the_rate_says():
    random = np.random.default_rng(0)
    shares = []
    for _ in range(2_000):
        p_values = stats.norm.sf(random.normal(size=20) + np.r_[np.full(5, 3.0), np.zeros(15)])
        found = benjamini_hochberg(p_values) <= 0.1
        shares.append(found[5:].sum() / max(1, found.sum()))
    assert np.mean(shares) == pytest.approx(0.1 * 15 / 20, abs=0.01)


def test_reports_and_events_carry_them_in_the_ranking():
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(1_500, 6)), columns=list("abcdef"))
    report = Reference.fit(frame[:1_000]).compare(frame[1_000:].assign(c=frame["c"] + 1, e=frame["e"] + 0.5))
    own, q_values = (np.array([getattr(s, name) for s in report.streams]) for name in ("own_p_value", "q_value"))
    assert np.array_equal(q_values, benjamini_hochberg(own))
    assert {stream.name for stream in report.streams if stream.q_value <= 0.01} == {"c", "e"}
    assert [s.q_value for s in report.streams] == [s.moved().q_value for s in report.streams]
    assert report.to_dict()["streams"][0]["q_value"] == report.streams[0].q_value


def test_events_from_before_still_decode():
    known = msgspec.to_builtins(Moved("x", "numeric", False, 0.5, 0, 0, 0, 0, None, 0, 0.0, 0.3))
    assert known["q_value"] == 0.3
    del known["q_value"]
    assert msgspec.json.decode(msgspec.json.encode(known), type=Moved).q_value == 1.0
