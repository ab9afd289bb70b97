"""Counting: the same panes whoever counts, in whatever pieces; what is late is decided by the partition alone."""

import itertools
import json
import math
from bisect import bisect_left

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.drift_stream import PANE_MS, PROFILES, STEP_MS, counter, decider, model_event, predictions, rows

from longshore.errors import FormatError
from longshore.monitor.binning import SUM_LIMIT
from longshore.monitor.counts import CHUNK, MOST_PANES
from longshore.monitor.decide import decide_all
from longshore.monitor.frames import LARGEST
from longshore.monitor.lookup import LEAST_EDGES, Lookup, Table
from longshore.monitor.messages import NEVER, NEWEST, Counted, decode, encode, in_pieces, pack, pack_narrow, unpack
from longshore.monitor.panes import FUTURE_MS, Tally
from longshore.schema import Kind


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


@pytest.mark.parametrize(
    "odd",
    [
        [VALUES[0] + VALUES[1], b""],
        [VALUES[0] + b"\n" + VALUES[1], b" "],
        [VALUES[0][:-1], b"}"],
        [VALUES[0].replace(b'"record":', b'"x":[{}'), b'{}],"record":{}}', VALUES[1] + VALUES[2]],
        [b'"mark"', b"null", b"[]", b"{}"],
    ],
)
def test_values_that_are_no_documents_by_themselves_are_none_together(odd):
    (message,) = counted([*VALUES[:5], *odd, *VALUES[5:10]], [])
    assert message.unreadable == len(odd)
    assert merged([message]) == merged(counted(VALUES[:10], []))


def test_labels_count_by_the_event_time_of_their_record():
    values = [msgspec.json.encode({"event_time": when}) for when in (0, 999, 1_000, 5_500)]
    assert counter().count_labels(2, [*values, b"junk"]).panes == [(0, 2), (1, 1), (5, 1)]


def test_pane_messages_are_refused_when_newer_or_damaged():
    message = Counted(0, 1, 0, 0, 0, [])
    assert decode(encode(message)) == message
    with pytest.raises(FormatError, match=f"format {NEWEST + 1}"):
        decode(msgspec.json.encode({"kind": "counts", "format": NEWEST + 1}))
    with pytest.raises(FormatError, match="damaged"):
        decode(b'{"kind":"nonsense"}')
    with pytest.raises(FormatError, match="damaged"):
        unpack("!")
    for text in (".", "~88!", ".99AAAA", ".11AAAA", ".00AAAA", ".x1AAAA"):
        with pytest.raises(FormatError, match="damaged"):
            unpack(text)


INT64 = st.integers(-(2**62), 2**62)


@given(st.lists(st.tuples(st.integers(0, 2**40) | st.just(0), INT64 | st.integers(-130, 130)), min_size=1))
def test_bins_are_read_as_they_were_packed_in_both_formats(rows):
    counts, sums = np.array(rows, dtype=np.int64).T
    for pack_it in (pack, pack_narrow):
        found = unpack(pack_it(counts, sums))
        assert [values.tolist() for values in found] == [counts.tolist(), sums.tolist()]
        assert {values.dtype for values in found} == {np.dtype(np.int64)}


def test_a_pane_of_format_1_is_read():
    (message,) = counted(VALUES, [])
    older = [msgspec.structs.replace(delta, bins=pack(*unpack(delta.bins))) for delta in message.panes]
    sent = encode(msgspec.structs.replace(message, panes=older, format=1))
    assert merged([decode(sent)]) == merged([message])


@given(st.lists(st.integers(0, 3), min_size=700, max_size=700), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=10)
def test_partitions_counted_together_have_what_each_has_alone(owners, random):
    """Late ones, unreadable ones, two versions and one that nobody knows among them."""
    values = [*VALUES[:600], *predictions(rows(60, 2), version="v99"), b"{", *[None] * 39]
    random.shuffle(values)
    parts = [[v for v, owner in zip(values, owners, strict=True) if owner == part] for part in range(4)]
    parts = [part for part in parts if part]
    alone, together = ([Tally() for _ in parts] for _ in range(2))
    for tally, part in zip(alone, parts, strict=True):
        counter().count(tally, part, range(len(part)))
    counter().count_all([(tally, part, range(len(part))) for tally, part in zip(together, parts, strict=True)])
    assert [tally.message(0, 4) for tally in together] == [tally.message(0, 4) for tally in alone]


def test_texts_that_come_for_the_first_time_or_are_too_many_are_counted_alike():
    """What the decoder knows of texts that come again changes no count."""
    base = [msgspec.json.decode(value) for value in VALUES[:600]]
    for i, value in enumerate(base):
        name = next(name for name, held in value["record"].items() if isinstance(held, str) and "id" not in name)
        value["record"][name] = None if i % 7 == 0 else f"new-{i}" if i > 300 else value["record"][name]
        value["route"] = "champion" if i % 5 else f"route-{i % 3}"
    values = list(map(msgspec.json.encode, base))
    one, many = Tally(), Tally()
    counter().count(one, values, range(600))
    known = counter()
    known.count(Tally(), VALUES, range(700))
    for i, value in enumerate(values):
        known.count(many, [value], [i])
    assert one.message(0, 1) == many.message(0, 1)


ODD = [
    b"{",
    None,
    b"\xff",
    b"[]",
    VALUES[0].replace(b'"prediction":', b'"prediction":1e999,"x":'),
    VALUES[1].replace(b'"ship":"s","event_time":10,"cargo"', b'"ship":"","event_time":10,"cargo"'),
    VALUES[2].replace(b'"cargo":', b'"cargo":"many","cargo_was":'),
    VALUES[3].replace(b'"flag":"', b'"flag":"\xff'),
    VALUES[4].replace(b'"cargo":', b'"more":[{"of":"it"}],"cargo":'),
    VALUES[5].replace(b'"cargo":', b'"more":"\xff","cargo":'),
    VALUES[6].replace(b'"cargo":', b'"more":' + b"[" * 63 + b"]" * 63 + b',"cargo":'),
    VALUES[7].replace(b'"cargo":', b'"more":' + b"[" * 64 + b"]" * 64 + b',"cargo":'),
    VALUES[8].replace(b'"route":', b'"more":' + b"[" * 64 + b"]" * 64 + b',"route":'),
    VALUES[9].replace(b'"flag":"', '"flag":"é'.encode()),
    VALUES[10].replace(b'"cargo":', b'"cargo":null,"was":'),
    VALUES[11].replace(b'"event_time":', b'"event_time":99999999999999999999,"was":', 1),
    VALUES[12].replace(b'"scored_at":', b'"scored_at":99999999999999999999,"was":', 1),
    *predictions(rows(3, 5), version="v2"),
    *predictions(rows(3, 5), version="v99"),
]
"""Predictions that are none, whose record is none, that name another version, or that only look odd."""

COUNTED = [VALUES[i] for i in (4, 6, 8, 9, 10)]


@given(st.lists(st.sampled_from([*ODD, *VALUES[:40]]), min_size=1, max_size=30))
@settings(deadline=None)
def test_a_batch_counts_as_its_values_one_by_one(values):
    (whole,), pieces = counted(values, []), counted(values, range(1, len(values)))
    assert merged([whole]) == merged(pieces)
    for what in ("late", "future", "unreadable"):
        assert getattr(whole, what) == sum(getattr(message, what) for message in pieces)
    assert whole.watermark == pieces[-1].watermark


@pytest.mark.parametrize("value", ODD[:17], ids=range(17))
def test_an_odd_value_is_counted_or_left_out_whatever_is_beside_it(value):
    (alone,), (beside,) = counted([value], []), counted([*VALUES[:20], value], [])
    good = sum(delta.records for delta in alone.panes)
    assert good == (1 if any(value and value.startswith(v[:20]) for v in COUNTED) else 0)
    assert alone.unreadable == beside.unreadable == 1 - good
    assert sum(delta.records for delta in beside.panes) == 20 + good


def plain_counts(values):
    """Counts and sums by pane in plain Python, with a search and a sum for each value."""
    watched, panes = PROFILES.of("v1"), {}
    for value in map(json.loads, values):
        bins, weights = [], []
        held = value["record"] | {"prediction": value["prediction"]}
        for stream in watched.profile.streams:
            found = held.get(stream.name)
            if stream.kind is Kind.NOMINAL:
                known = list(stream.categories)
                bins.append(len(known) + 1 if found is None else known.index(found) if found in known else len(known))
                weights.append(0)
            else:
                unusable = found is None or abs(found) > LARGEST
                bins.append(len(stream.edges) + 1 if unusable else bisect_left(stream.edges.tolist(), found))
                weights.append(0 if unusable else round(min(max(found * stream.scale, -SUM_LIMIT), SUM_LIMIT)))
        counts, sums = panes.setdefault(
            value["event_time"] // PANE_MS, ([0] * watched.layout.total, [0] * watched.layout.total)
        )
        for start, here, weight in zip(watched.layout.starts.tolist(), bins, weights, strict=True):
            counts[start + here] += 1
            sums[start + here] += weight
    return panes


WILD = [
    value.replace(b'"cargo":', b'"cargo":%s,"was":' % number)
    for value, number in zip(
        VALUES, (b"1e300", b"-1e300", b"0", b"-0.0", b"5e-324", b"12", b"1e18", b"-7"), strict=False
    )
]


@given(st.randoms(use_true_random=False), st.integers(1, 900))
@settings(deadline=None, max_examples=20)
def test_panes_hold_what_plain_searches_and_sums_give(random, count):
    values = random.choices([*VALUES, *WILD], k=count)
    values.sort(key=lambda value: json.loads(value)["event_time"] // PANE_MS)
    tally = Tally()
    counter().count(tally, values, range(count))
    found = {pane: (held.counts.tolist(), held.sums.tolist()) for (pane, _, _), held in tally.panes.items()}
    assert found == plain_counts(values)


@pytest.mark.parametrize("spread", [1, MOST_PANES, 5 * MOST_PANES])
def test_more_rows_and_panes_than_are_counted_at_once(spread):
    frame = rows(2 * CHUNK + 3, 4)
    values = predictions(frame)
    moved = [value.replace(b"event_time", b"was") for value in values]
    times = np.random.default_rng(0).permutation(len(values)) % spread * PANE_MS
    moved = [b'{"event_time":%d,%s' % (time, v[1:].replace(b'"record":{', b'"record":{"event_time":%d,' % time))
             for time, v in zip(times, moved, strict=True)]  # fmt: skip
    tally, patient = Tally(), counter()
    patient._lateness_ms = 10**9
    patient.count(tally, moved, range(len(moved)))
    found = {pane: (held.counts.tolist(), held.sums.tolist()) for (pane, _, _), held in tally.panes.items()}
    assert len(found) == spread
    assert found == plain_counts(moved)


def beside(edges):
    """The edges and the nearest numbers below and above each."""
    with np.errstate(over="ignore", under="ignore"):
        return [np.nextafter(edges, -math.inf), edges, np.nextafter(edges, math.inf)]


def assert_found(*streams):
    """Each stream, (edges, values), looked up beside the others."""
    tables = [Table(edges) for edges, _ in streams]
    order = sorted(range(len(streams)), key=lambda i: -tables[i].compared)
    values = np.array([streams[i][1] for i in order])
    starts = np.cumsum([7, *(len(edges) + 2 for edges, _ in streams)])[:-1]
    lookup = Lookup([tables[i] for i in order], [streams[i][0] for i in order], [int(starts[i]) for i in order])
    with np.errstate(all="ignore"):
        found = lookup.bins(values)
    assert found.dtype == np.int64
    for at, i in enumerate(order):
        (edges, own), bins = streams[i], found[at] - starts[i]
        present = ~np.isnan(own)
        assert ((bins >= 0) & (bins <= len(edges))).all()
        assert (bins[present] == np.searchsorted(edges, own[present], side="left")).all()


FLOATS = st.one_of(
    st.floats(),
    st.floats(-1e3, 1e3),
    st.integers(-60, 60).map(float),
    st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1.8e308, -1.8e308]),
)


@given(
    st.lists(arrays.arrays(np.float64, st.integers(0, 120), elements=FLOATS), min_size=1, max_size=4),
    arrays.arrays(np.float64, 50, elements=FLOATS),
)
@settings(deadline=None, max_examples=300)
def test_a_lookup_is_a_search_whatever_the_edges(drawn, values):
    all_edges = [np.unique(edges[np.isfinite(edges)]) for edges in drawn]
    values = np.concatenate([values, *(near for edges in all_edges for near in beside(edges))])
    assert_found(*((edges, values) for edges in all_edges))


def test_a_lookup_is_a_search_on_the_edges_of_every_shape():
    random, n = np.random.default_rng(1), 20_000
    shapes = [
        random.normal(size=n),
        random.lognormal(7, 1.5, n),
        random.standard_cauchy(n),
        random.integers(1, 53, n).astype(float),
        random.choice([-1e9, 0, 3, 1e9], n) + random.normal(size=n) * 1e-3,
        10.0 ** random.integers(-300, 300, n),
        random.random(n) * 1e-310,
        np.full(n, 4.2),
        random.choice([-1.7e308, 1.7e308], n) * random.random(n),
    ]
    streams = []
    for x in shapes:
        edges = np.unique(np.quantile(x, np.linspace(0, 1, 260), method="inverted_cdf"))
        edges = np.unique(np.concatenate([edges, np.nextafter(edges[::5], -math.inf)]))
        with np.errstate(over="ignore"):
            values = np.concatenate([x, x * 1_000, -x, [math.inf, -math.inf, math.nan], *beside(edges)])
        streams.append((edges, np.resize(values, 3 * n + 1_500)))
    assert_found(*streams)
    assert {Table(edges).compared > 0 for edges, _ in streams} == {False, True}


def test_the_edges_of_usual_streams_are_looked_up_not_searched():
    streams = [stream for stream in PROFILES.of("v1").profile.streams if len(stream.edges) >= LEAST_EDGES]
    assert len(streams) == 3
    assert all(Table(stream.edges).compared for stream in streams)


def test_a_tally_of_thousands_of_panes_becomes_messages_that_kafka_takes_and_says_the_same():
    """A slow stream read fast: each record fills a pane of its own."""
    values = predictions(rows(5_000, 3), step_ms=PANE_MS)
    tally = Tally()
    counter().count(tally, values, list(range(100, 5_100)))
    whole = tally.message(2, 4)
    pieces = in_pieces(whole)
    assert len(encode(whole)) > 1_000_000
    assert max(len(encode(piece)) for piece in pieces) < 901_000
    assert [pane for piece in pieces for pane in piece.panes] == whole.panes
    bounds = [(piece.first_offset, piece.last_offset) for piece in pieces]
    assert bounds == [(100 + i, 100 + i) for i in range(len(pieces) - 1)] + [(100 + len(pieces) - 1, 5_099)]
    assert [piece.watermark for piece in pieces] == [NEVER] * (len(pieces) - 1) + [whole.watermark]
    assert in_pieces(pieces[0]) == [pieces[0]]


def finals(outputs):
    return [event for event in outputs.events if event.status == "final"]


def test_a_decider_told_in_pieces_decides_as_told_at_once():
    values = predictions(rows(4_900, 3), step_ms=PANE_MS)
    tally = Tally()
    counter().count(tally, values, list(range(len(values))))
    tally.unreadable = 3
    whole = tally.message(0, 1)
    expected = decide_all(decider(), enumerate([model_event("promoted"), encode(whole)]))
    pieces = [encode(piece) for piece in in_pieces(whole)]
    one = decider()
    told = decide_all(one, enumerate([model_event("promoted"), *pieces]))
    assert len(pieces) > 1
    assert finals(told) == finals(expected)
    assert len(finals(told)) == 1 + 9  # an era and nine full windows, for the last is open
    again = decide_all(one, enumerate([*pieces, *pieces], start=1 + len(pieces)))
    assert not again.events  # a second copy of what was counted before
