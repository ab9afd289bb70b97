"""The loss test: evidence has the stated mean under no change, whatever the blocks; alarms on changes; plain state."""

import itertools

import msgspec
import numpy as np
import pytest
from scipy.stats import multinomial
from tests.error_stream import watched

from longshore.monitor.loss_limits import bin_edges, simulated_limits
from longshore.monitor.loss_test import (
    BETS,
    LossState,
    LossTest,
    grown,
    limit_for,
    log_bets,
    mixed,
    weights_for,
    why_not,
)

COUNTS = np.array([30, 50, 20, 100])
SHARES = (COUNTS + 0.5) / (COUNTS.sum() + len(COUNTS) / 2)


def errors():
    return watched().profile.errors


def stream(count, seed, shift=0.0, width=1.0, block=25):
    """Counts by bin of blocks of normal errors."""
    values = np.random.default_rng(seed).normal(shift * 0.5, width * 0.5, count)
    bins = np.searchsorted(errors().edges, values)
    return [np.bincount(part, minlength=len(errors().counts)) for part in bins.reshape(-1, block)]


def first_alarm(blocks, run_length=10_000):
    test, state = LossTest(errors(), run_length), LossState()
    for at, counts in enumerate(blocks):
        if test.add(state, counts, at).alarm:
            return sum(int(each.sum()) for each in blocks[: at + 1])
    return None


def test_a_bet_has_the_mean_one_when_nothing_changed():
    assert pytest.approx(np.ones(len(BETS))) == np.exp(log_bets(COUNTS)).T @ SHARES
    several = log_bets(np.stack([COUNTS, COUNTS[::-1]]))
    assert several[0] == pytest.approx(log_bets(COUNTS))


@pytest.mark.parametrize("block", [1, 2, 3])
def test_the_mean_evidence_after_a_block_is_what_it_was_and_the_blocks_labels(block):
    """Over all outcomes of a block, exactly: so that the mean run length is at least the limit (optional stopping)."""
    bets, before, weights = log_bets(COUNTS), 7.5, np.full(len(BETS), 1 / len(BETS))
    total = 0.0
    for outcome in itertools.product(range(block + 1), repeat=len(COUNTS)):
        if sum(outcome) == block:
            increments = (np.array(outcome)[:, None] * bets).sum(axis=0)
            after = grown(np.full(len(BETS), np.log(before)), block, increments)
            total += multinomial.pmf(outcome, block, SHARES) * np.exp(mixed(after, weights))
    assert total == pytest.approx(before + block)


def test_bets_that_the_held_out_rows_cannot_resolve_weigh_nothing():
    assert np.count_nonzero(weights_for(100)) < np.count_nonzero(weights_for(2_000)) <= len(BETS)
    assert weights_for(50_000) == pytest.approx(np.full(len(BETS), 1 / len(BETS)))


def test_simulated_limits_rise_and_are_never_below_the_theorems():
    runs, limits = simulated_limits(COUNTS, repeats=8)
    assert (np.diff(limits) >= 0).all() and (limits >= np.log(runs) - 1e-9).all()
    assert runs[0] == pytest.approx(1_000) and runs[-1] == pytest.approx(10_000)
    assert not any(len(found) for found in simulated_limits(COUNTS // 2))


def test_a_run_length_beyond_what_was_simulated_is_said_to_be():
    inside, far = limit_for(errors(), 5_000), limit_for(errors(), 100_000_000)
    assert inside[1] is False and far[1] is True
    assert far[0] - limit_for(errors(), 10_000_000)[0] == pytest.approx(np.log(10))


def test_changes_are_found_and_nothing_is_when_nothing_changes():
    assert first_alarm(stream(2_000, 1, shift=0.8, width=1.2)) <= 150
    assert first_alarm(stream(2_000, 2, shift=-0.8)) <= 150
    assert first_alarm(stream(3_000, 3, width=1.3)) <= 1_000
    assert first_alarm(stream(5_000, 4)) is None
    assert first_alarm(stream(5_000, 5, width=0.8)) is None


def test_the_state_goes_through_json_to_the_bit_and_says_since_when():
    test, state = LossTest(errors(), 10_000), LossState()
    calm, moved = stream(1_000, 6), stream(200, 7, shift=1.0)
    for at, counts in enumerate(calm):
        test.add(state, counts, at)
    assert state.labels == 1_000 and state.first_pane > 20
    again = msgspec.json.decode(msgspec.json.encode(state), type=LossState)
    for at, counts in enumerate(moved, 100):
        found = (test.add(state, counts, at), test.add(again, counts, at))
        assert found[0] == found[1] and state == again
    assert found[0].alarm and found[0].shift > 0
    assert state.first_pane >= 100, "only what came after the change is counted as evidence"
    assert test.add(state, np.zeros_like(calm[0]), 300) is None


def test_edges_are_quantiles_with_rows_enough_and_too_few_rows_are_not_tested():
    random = np.random.default_rng(0)
    assert len(bin_edges(random.normal(size=10_000))) == 63
    assert len(bin_edges(random.normal(size=120))) == 9
    assert len(bin_edges(np.zeros(500))) == 0
    assert why_not(None) and why_not(errors()) == ""
    assert LossTest.of(None, 1_000) is None


def test_evidence_fades_when_errors_come_back():
    test, state = LossTest(errors(), 10_000), LossState()
    for at, counts in enumerate(stream(5_000, 8, shift=1.0)):
        test.add(state, counts, at)
    assert test.stands(state).alarm
    for at, counts in enumerate(stream(3_000, 9)):
        test.add(state, counts, at)
    assert not test.stands(state).alarm
