"""Counting: the same panes whoever counts, in whatever pieces; what is late is decided by the partition alone."""

import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.drift_stream import PANE_MS, STEP_MS, counter, predictions, rows

from longshore.errors import FormatError
from longshore.monitor.messages import Counted, decode, encode, unpack
from longshore.monitor.panes import FUTURE_MS, Tally


def merged(messages):
    """All deltas of the messages added up, by pane."""
    panes = {}
    for message in messages:
        for delta in message.panes:
            counts, sums = unpack(delta.bins)
            old = panes.get((delta.pane, delta.version, delta.route), (0, 0, 0))
            panes[delta.pane, delta.version, delta.route] = (
                old[0] + delta.records,
                (old[1] + counts).tolist() if not isinstance(old[1], list) else (np.array(old[1]) + counts).tolist(),
                (old[2] + sums).tolist() if not isinstance(old[2], list) else (np.array(old[2]) + sums).tolist(),
            )
    return panes


def counted(values, cuts):
    tally, messages, pane_counter = Tally(), [], counter()
    bounds = [0, *sorted(cuts), len(values)]
    for start, end in itertools.pairwise(bounds):
        if end > start:
            pane_counter.count(tally, values[start:end], list(range(start, end)))
            messages.append(decode(encode(tally.message(0, 1))))
            tally = tally.after_commit()
    return messages


VALUES = predictions(rows(700, 1))


@given(st.lists(st.integers(1, 699), max_size=5), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=25)
def test_any_pieces_give_the_same_panes_watermark_and_late_records(cuts, random):
    values = VALUES.copy()
    random.shuffle(values)
    whole, pieces = counted(values, []), counted(values, cuts)
    assert merged(whole) == merged(pieces)
    assert whole[-1].watermark == pieces[-1].watermark == 699 * STEP_MS
    assert whole[0].late == sum(message.late for message in pieces)


def test_every_record_is_in_each_stream_once():
    (message,) = counted(VALUES, [])
    assert sum(delta.records for delta in message.panes) == len(VALUES)
    counts, _ = unpack(message.panes[0].bins)
    assert counts.sum() == 4 * message.panes[0].records
    assert [delta.pane for delta in message.panes] == list(range(7))


def test_a_late_record_is_tallied_aside():
    (message,) = counted([*predictions(rows(1, 0), first_ms=5 * PANE_MS), *predictions(rows(1, 1))], [])
    assert (message.late, message.watermark, len(message.panes)) == (1, 5 * PANE_MS, 1)


def test_a_wrong_clock_does_not_push_the_watermark():
    value = msgspec.json.decode(VALUES[0])
    value["event_time"] = value["scored_at"] + FUTURE_MS + 1
    (message,) = counted([VALUES[0], msgspec.json.encode(value), VALUES[1]], [])
    assert (message.future, message.watermark) == (1, STEP_MS)


def test_what_is_no_prediction_and_what_names_an_unknown_version_is_tallied_aside():
    other = predictions(rows(2, 0), version="v99")
    (message,) = counted([b"{", None, b"\xff", *other, *VALUES[:3]], [])
    assert message.unreadable == 5
    assert sum(delta.records for delta in message.panes) == 3


def test_labels_count_by_the_event_time_of_their_record():
    values = [msgspec.json.encode({"event_time": when}) for when in (0, 999, 1_000, 5_500)]
    assert counter().count_labels(2, [*values, b"junk"]).panes == [(0, 2), (1, 1), (5, 1)]


def test_pane_messages_are_refused_when_newer_or_damaged():
    message = Counted(0, 1, 0, 0, 0, [])
    assert decode(encode(message)) == message
    with pytest.raises(FormatError, match="format 2"):
        decode(msgspec.json.encode({"kind": "counts", "format": 2}))
    with pytest.raises(FormatError, match="damaged"):
        decode(b'{"kind":"nonsense"}')
    with pytest.raises(FormatError, match="damaged"):
        unpack("!")
