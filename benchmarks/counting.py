"""How fast the monitor counts: in columns, against the client's own limit, and what a pane and a long run hold.

    python benchmarks/counting.py                            # with an embedded Kafka
    python benchmarks/counting.py --only columns,pane        # of columns, kafka, pane, memory
    python benchmarks/counting.py --memory-records 10000000  # the long form of the last part

`columns`: rows a second on one core from columns to counts and fixed-point sums of all streams, beside the same by a
search and plain sums (`longshore.monitor.binning`), which must give the same numbers. `kafka`: the client consumes
predictions and decodes each into a struct with what is counted of it, the record in it too, and nothing else: the
limit, with few collections of garbage, as our services have; the same with the interpreter's own thresholds, without
the record's own fields, into dicts, and by the standard library; then with a `PaneCounter`, without and with a sample
of rows; then the whole counting
role, which commits its deltas in transactions. All with the same client settings in one process, in turns. `cpu` is
this process's own, the client's threads included: the broker shares the machine. `pane`: what one pane takes in
memory and on its topic, whatever the rows. `memory`: resident, while values are counted and committed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import psutil
from _counting_kafka import from_kafka

from longshore.config import Settings
from longshore.monitor.binning import count_columns
from longshore.monitor.counts import StreamCounter
from longshore.monitor.derived import ratio
from longshore.monitor.identities import IdSketch
from longshore.monitor.messages import Counted, PaneDelta, encode, pack_narrow, pack_small
from longshore.monitor.models import PREDICTION, Profiles, Watched
from longshore.monitor.panes import PaneCounter, Tally
from longshore.monitor.reference import build_profile
from longshore.monitor.sample import row_bytes, rows_of_a_pane, shape_of
from longshore.monitor.scored import ScoredColumns, ScoredDecoder
from longshore.monitor.service_count import MAX_BATCH
from longshore.producers.generator import districts_frame, history_frame
from longshore.records import Source
from longshore.schema import districts

SCHEMA = districts()
DISTINCT = 20_000
START_MS = 1_700_000_000_000
STEP_MS = 1
"""Event time of each record after the one before: a pane of ten seconds holds 10,000 records."""
PANE_LIMIT = 64 * 1_024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="columns,kafka,pane,memory", help="parts, with commas")
    parser.add_argument("--records", type=int, default=1_000_000, help="predictions on the topic")
    parser.add_argument("--rounds", type=int, default=3, help="of each contestant")
    parser.add_argument("--contestants", default="", help="of the part kafka, with commas; all")
    parser.add_argument("--memory-records", type=int, default=3_000_000)
    args = parser.parse_args()
    parts = args.only.split(",")
    if unknown := set(parts) - {"columns", "kafka", "pane", "memory"}:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    profile = _profile()
    if "columns" in parts:
        in_columns(profile, args.rounds)
    if "pane" in parts:
        a_pane(profile)
    if "memory" in parts:
        memory(profile, args.memory_records)
    if "kafka" in parts:
        only = list(filter(None, args.contestants.split(",")))
        from_kafka(profile, _counter, predictions(args.records), args.records, args.rounds, only=only)


def _profile() -> bytes:
    rows = history_frame(10_000, 1)
    fitted = rows[list(SCHEMA.feature_names)].assign(prediction=rows[SCHEMA.target].astype(float))
    return build_profile(fitted, [field.name for field in SCHEMA.nominal], SCHEMA.derived, SCHEMA.place)


def templates() -> list[list[bytes]]:
    """Predictions as the scorer writes them, each in the pieces between which its event time stands."""
    frame = districts_frame(DISTINCT, 3)
    frame["guess"] = frame[SCHEMA.target] * 1.0123
    made = []
    for i, row in enumerate(json.loads(frame.to_json(orient="records"))):
        identity = {"record_id": f"run-{i}", SCHEMA.key: row[SCHEMA.key], "event_time": START_MS}
        value = identity | {"scored_at": START_MS + 10**9, "prediction": row["guess"], "model_version": "v1"}
        value |= {"route": "champion", "source": Source(f"longshore.{SCHEMA.topic}", 0, i)}
        value |= {"record": identity | {name: row[name] for name in SCHEMA.feature_names}}
        made.append(msgspec.json.encode(value).split(b"%d" % START_MS))
    return made


def predictions(count: int) -> Iterator[bytes]:
    """`count` predictions, `STEP_MS` apart; their other values come again after `DISTINCT`."""
    for i, pieces in enumerate(itertools.islice(itertools.cycle(templates()), count)):
        yield (b"%d" % (START_MS + i * STEP_MS)).join(pieces)


def in_columns(profile: bytes, rounds: int) -> None:
    columns = ScoredDecoder(SCHEMA).decode(list(predictions(200_000)))
    watched = Watched.of(profile)
    counter = StreamCounter(watched, SCHEMA)
    rows, panes = np.arange(len(columns)), columns.times // 10_000
    ours, plain, sums = [], [], (np.zeros(0), np.zeros(0))
    for _ in range(max(rounds, 5)):
        started = time.process_time()
        deltas = list(counter.count(columns, rows, panes))
        ours.append(len(columns) / (time.process_time() - started))
        started = time.process_time()
        sums = _plainly(watched, columns)
        plain.append(len(columns) / (time.process_time() - started))
    assert (sum(delta.counts for delta in deltas) == sums[0]).all()
    assert (sum(delta.sums for delta in deltas) == sums[1]).all()
    print(f"\nIn columns, {len(watched.profile.streams)} streams, rows/s of one core (median; largest):")
    print(f"  counter           {statistics.median(ours):12,.0f}  {max(ours):12,.0f}   target 1,000,000")
    print(f"  search and sums   {statistics.median(plain):12,.0f}  {max(plain):12,.0f}", flush=True)


def _plainly(watched: Watched, columns: ScoredColumns) -> Any:
    """The same counts and sums by `monitor.binning`, without panes."""
    held: dict[str, Any] = {field.name: columns.values[i] for i, field in enumerate(SCHEMA.numeric)}
    held |= {d.name: ratio(held[d.numerator], held[d.denominator]) for d in SCHEMA.derived}
    held |= {field.name: columns.texts[i] for i, field in enumerate(SCHEMA.nominal)} | {PREDICTION: columns.values[-1]}
    streams = watched.profile.streams
    return count_columns(streams, [held[stream.name] for stream in streams])[1:]


def a_pane(profile: bytes) -> None:
    watched = Watched.of(profile)
    columns = ScoredDecoder(SCHEMA).decode(list(predictions(200_000)))
    counter, total = StreamCounter(watched, SCHEMA), watched.layout.total
    print(f"\nA pane of {len(watched.profile.streams)} streams, {total:,} bins (target {PANE_LIMIT:,} bytes):")
    for rows in (1, 100, 10_000, 200_000):
        deltas = list(counter.count(columns, np.arange(rows), np.zeros(rows, dtype=np.int64)))
        counts, sums = sum(delta.counts for delta in deltas), sum(delta.sums for delta in deltas)
        _tell_pane(rows, counts, sums, sum(delta.segments for delta in deltas), columns.ids[:rows])
    random = np.random.default_rng(0)  # as many rows as would take days: every digit of a count is noise
    counts, sums = counts * 5_000 + random.integers(0, 5_000, total), sums * 5_000 + random.integers(0, 9**9, total)
    segments = sum(delta.segments for delta in deltas)
    _tell_pane(10**9, counts, sums, segments * 5_000 + random.integers(0, 5_000, len(segments)), columns.ids)
    sampled = rows_of_a_pane(watched.profile, Settings().monitor.sample_rows)
    more = 4 * (8 + sampled * row_bytes(shape_of(watched.profile))) // 3
    print(f"  with monitor.joint a sample of {sampled} rows: {more:,} bytes more on the topic", flush=True)


def _tell_pane(rows: int, counts: Any, sums: Any, segments: Any, hashes: Any) -> None:
    ids = IdSketch.of(hashes).to_text()
    delta = PaneDelta(0, "v1", "champion", rows, "0" * 12, pack_narrow(counts, sums), ids=ids)
    on_topic = len(encode(Counted(0, 1, 0, rows, START_MS, [delta])))
    apart = f"of them ids {len(ids):,}; segments apart {segments.nbytes:7,} and {len(pack_small(segments)):7,}"
    held = counts.nbytes + sums.nbytes
    print(f"  {rows:13,} rows: {held:7,} bytes in memory, {on_topic:7,} on the topic; {apart}", flush=True)


def memory(profile: bytes, records: int) -> None:
    """Counted in batches of a poll, committed every 100,000 records, as the counting role does."""
    counter, tally = _counter(profile), Tally()
    process, seen, batch = psutil.Process(), [], 0
    source = predictions(records)
    while values := list(itertools.islice(source, MAX_BATCH)):
        counter.count(tally, values, range(batch, batch + len(values)))
        batch += len(values)
        if batch % 100_000 < MAX_BATCH:
            encode(tally.message(0, 1))
            tally = tally.after_commit()
        if batch % 1_000_000 < MAX_BATCH:
            seen.append(process.memory_info().rss / 2**20)
    print(f"\nResident after each million of {records:,} records: {', '.join(f'{mb:.0f}' for mb in seen)} MB")
    print(f"  from the first to the last: {seen[-1] / seen[0] - 1:+.1%}", flush=True)


def _counter(profile: bytes, sample_rows: int = 0) -> PaneCounter:
    monitor = Settings().monitor
    pane_ms, lateness_ms = int(monitor.pane_s * 1_000), int(monitor.allowed_lateness_s * 1_000)
    profiles = Profiles(lambda _: profile)
    return PaneCounter(SCHEMA, profiles, pane_ms=pane_ms, lateness_ms=lateness_ms, sample_rows=sample_rows)


if __name__ == "__main__":
    main()
