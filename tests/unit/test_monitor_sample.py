"""The sample of whole rows: the same whatever the order, the pieces and the partitions; no row that is not there."""

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.drift_stream import LATENESS_MS, PANE_MS, PROFILES, SCHEMA, predictions, rows

from longshore.errors import FormatError
from longshore.monitor.messages import decode, encode
from longshore.monitor.panes import PaneCounter, Tally
from longshore.monitor.sample import (
    ALL,
    MOST_BYTES,
    Growing,
    Sample,
    both,
    grow,
    narrow,
    priorities_of,
    row_bytes,
    rows_of_a_pane,
    shape_of,
    together,
)

SHAPE = (2, 1)


def of(priorities, bound=ALL):
    """A sample whose rows tell their own priorities."""
    chosen = np.unique(np.array(priorities, dtype=np.uint64))
    chosen = chosen[chosen < np.uint64(bound)]
    numbers = np.stack([chosen % 1_000, chosen % 7], axis=1).astype(np.float32)
    return Sample(bound, chosen, numbers, (chosen % 5).astype(np.uint16)[:, None])


def bits(sample):
    return sample.bound, sample.priorities.tolist(), sample.numbers.tobytes(), sample.codes.tobytes()


PRIORITIES = st.integers(0, 60) | st.integers(0, 2**64 - 2)
SAMPLES = st.builds(of, st.lists(PRIORITIES, max_size=12), st.just(ALL) | PRIORITIES)


@given(st.lists(SAMPLES, min_size=1, max_size=6), st.integers(1, 8), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=200)
def test_any_order_and_grouping_gives_the_same_sample(samples, most, random):
    whole = together(samples, most)
    mixed = [*samples, random.choice(samples)]  # one of them twice
    random.shuffle(mixed)
    while len(mixed) > 1:
        at = random.randrange(len(mixed) - 1)
        mixed[at : at + 2] = [together(mixed[at : at + 2], most)]
    assert bits(together(mixed, most)) == bits(whole)


@given(st.lists(SAMPLES, min_size=1, max_size=6), st.integers(1, 8))
@settings(deadline=None, max_examples=200)
def test_a_sample_holds_just_the_rows_below_its_bound(samples, most):
    whole = together(samples, most)
    there = {p for sample in samples for p in sample.priorities.tolist()}
    assert whole.priorities.tolist() == sorted(p for p in there if p < whole.bound)
    assert len(whole) <= most and whole.bound <= min(sample.bound for sample in samples)
    assert bits(of(whole.priorities, whole.bound)) == bits(whole), "each row is with its own priority"


@given(st.lists(st.tuples(PRIORITIES, st.integers(0, 2)), max_size=90), st.integers(1, 5), st.integers(1, 40))
@settings(deadline=None, max_examples=200)
def test_samples_that_grow_in_pieces_are_those_of_all(rows, most, step):
    growing = [Growing(most, Sample.nothing(SHAPE)) for _ in range(3)]
    for at in range(0, len(rows), step):
        piece = sorted(rows[at : at + step], key=lambda row: row[1])
        words = np.array([priority for priority, _ in piece], dtype=np.uint64)
        ends = np.cumsum(np.bincount([pane for _, pane in piece], minlength=3)).tolist()

        def rows_at(near, words=words):
            held = [of([p]) for p in words[near].tolist()]
            return np.concatenate([h.numbers for h in held]), np.concatenate([h.codes for h in held])

        grow(growing, ends, words, rows_at)
        assert all(sum(map(len, pane.waiting)) <= 4 * most for pane in growing)
    for number, pane in enumerate(growing):
        assert bits(pane.sample()) == bits(together([of([p for p, owner in rows if owner == number])], most))


def test_what_nobody_knows_makes_the_whole_unknown():
    unknown = Sample.from_text("", SHAPE)
    assert (unknown.bound, len(unknown)) == (0, 0)
    assert len(together([of(range(9)), unknown], 5)) == 0
    assert both(None, None) is None
    assert bits(both(None, of([3]), 5)) == bits(of([3]))


@given(SAMPLES)
@settings(deadline=None)
def test_a_sample_is_read_as_it_was_written(sample):
    assert bits(Sample.from_text(sample.to_text(), SHAPE)) == bits(sample)


@pytest.mark.parametrize("text", ["!", "AAAA", of([1, 2]).to_text()[:-4], of([1, 2]).to_text()[:-4] + "===="])
def test_a_damaged_sample_is_refused(text):
    with pytest.raises(FormatError, match="damaged"):
        Sample.from_text(text, SHAPE)


def test_what_a_number_is_stored_as():
    found = narrow(np.array([1.5, np.nan, 1e200, -np.inf, 1e100, -1e100, 0.1]))
    assert found.dtype == np.float32
    assert np.isnan(found[1:4]).all()
    assert np.isfinite(found[4:]).all() and found[4] == -found[5] == np.finfo(np.float32).max


def test_priorities_are_even_and_depend_on_every_part():
    random = np.random.default_rng(0)
    times, values, codes = (
        random.integers(0, 10**13, 20_000),
        random.integers(0, 9, (3, 20_000)) / 2,
        np.ones((1, 20_000), int),
    )
    found = priorities_of(times, values, codes)
    assert len(np.unique(found)) == len(found)
    for shift in range(0, 64, 8):
        counts = np.bincount((found >> np.uint64(shift)).astype(np.uint8), minlength=256)
        assert 120 < ((counts - 20_000 / 256) ** 2).sum() / (20_000 / 256) < 400  # χ² of 255 degrees of freedom
    assert (found == priorities_of(times, values, codes)).all()
    for changed in ((times + 1, values, codes), (times, values[::-1].copy(), codes), (times, values, codes + 1)):
        assert (found != priorities_of(*changed)).mean() > 0.8


def test_a_sample_is_uniform_whatever_the_values():
    """The mean of the rows kept is that of all rows, within five standard errors."""
    times, values = np.arange(50_000), np.random.default_rng(1).lognormal(0, 1, (1, 50_000))
    kept = np.argsort(priorities_of(times, values, np.zeros((0, 50_000), np.int64)))[:2_000]
    assert abs(values[0, kept].mean() - values.mean()) < 5 * values.std() / np.sqrt(2_000)
    assert abs(times[kept].mean() - 25_000) < 5 * times.std() / np.sqrt(2_000)


def sampled(count=64):
    return PaneCounter(SCHEMA, PROFILES, pane_ms=PANE_MS, lateness_ms=LATENESS_MS, sample_rows=count)


@functools.cache
def values():
    return predictions(rows(900, 1), step_ms=4)


def samples_of(tallies):
    watched = PROFILES.of("v1")
    most, found = rows_of_a_pane(watched.profile, 64), {}
    for partition, tally in enumerate(tallies):
        for delta in decode(encode(tally.message(partition, len(tallies)))).panes:
            sample = Sample.from_text(delta.sample, shape_of(watched.profile))
            found[delta.pane] = both(found.get(delta.pane), sample, most)
    return {pane: bits(sample) for pane, sample in found.items()}


@given(st.lists(st.integers(0, 3), min_size=900, max_size=900), st.lists(st.integers(1, 899), max_size=4))
@settings(deadline=None, max_examples=15)
def test_partitions_and_pieces_do_not_change_a_panes_sample(owners, cuts):
    whole = Tally()
    sampled().count(whole, values(), range(900))
    tallies, counters = [Tally() for _ in range(4)], [sampled(), sampled()]
    for counter, (start, end) in zip(
        itertools.cycle(counters), itertools.pairwise([0, *sorted(cuts), 900]), strict=False
    ):
        parts = []
        for owner, tally in enumerate(tallies):
            held = [values()[i] for i in range(start, end) if owners[i] == owner]
            if held:
                parts.append((tally, held, range(len(held))))
        if parts:
            counter.count_all(parts)
    assert samples_of(tallies) == samples_of([whole])
    assert sum(len(found[1]) for found in samples_of([whole]).values()) == 4 * 64


def test_a_sample_holds_rows_as_they_were_sent():
    tally = Tally()
    sampled(2_000).count(tally, values(), range(900))
    frame = rows(900, 1)
    (first, *_), watched = [held.sample.sample() for _, held in sorted(tally.panes.items())], PROFILES.of("v1")
    assert first.bound == ALL and len(first) == 250
    sent = {tuple(row) for row in frame[["cargo", "crew", "prediction"]][:250].fillna(-1).to_numpy(np.float32).tolist()}
    kept = {tuple(row) for row in np.where(np.isnan(first.numbers), -1, first.numbers).tolist()}
    assert kept == sent
    flags = watched.profile.streams[2].categories
    assert sorted(flags[code] for code in first.codes[:, 0]) == sorted(frame["flag"][:250])


def test_a_panes_sample_is_bounded_in_bytes():
    profile = PROFILES.of("v1").profile
    assert rows_of_a_pane(profile, 10**6) == MOST_BYTES // row_bytes((3, 1))
    tally = Tally()
    sampled(10**6).count(tally, predictions(rows(2_000, 2), step_ms=0), range(2_000))
    (delta,) = tally.message(0, 1).panes
    assert len(delta.sample) <= 4 * (MOST_BYTES + 16) // 3


def test_without_being_asked_for_there_is_none():
    tally = Tally()
    PaneCounter(SCHEMA, PROFILES, pane_ms=PANE_MS, lateness_ms=LATENESS_MS).count(tally, values(), range(900))
    assert {delta.sample for delta in tally.message(0, 1).panes} == {""}


def test_two_rows_with_all_the_same_are_one():
    tally, twice = Tally(), Tally()
    sampled().count(tally, values(), range(900))
    sampled().count(twice, [value for value in values() for _ in range(2)], range(1_800))
    assert samples_of([twice]) == samples_of([tally])
