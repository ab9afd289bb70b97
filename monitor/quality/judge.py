"""The faults of one window, from its counts and sums, its record ids and what was set aside. Pure.

Every test is exact or on the safe side, and each gets an equal part of what the window may err (Bonferroni): so the
chance of any fault in a window of n records without one is at most n over the stated run length. A fault also has to be
large enough to matter (the floors). Whether it lasts, and what follows, is `longshore.monitor.quarantine`'s matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from operator import add

import numpy as np

from longshore.monitor.identities import IdSketch
from longshore.monitor.models import PREDICTION, Watched
from longshore.monitor.quality.faults import ALL, Fault, FaultKind
from longshore.monitor.quality.numeric import USUAL, WHOLE, numeric_faults
from longshore.monitor.quality.shares import constant, missing, unseen
from longshore.monitor.quality.stream import Seen
from longshore.monitor.significance import LEAST_REFERENCE, outside_p
from longshore.pages.wording import share_text
from longshore.profile import Ints
from longshore.schema import Kind

TESTS = {Kind.NUMERIC: 4, Kind.NOMINAL: 3}
"""Of a stream: missing, and unit, range, standing still; or unseen, standing still."""

LARGEST_LEVEL = 0.05
"""Of a window, however large: one longer than the run length would not be tested at all."""

REPEATED_FLOOR = 0.05
"""The share of records that came before from which on duplicates matter."""

ASIDE_FLOORS = {FaultKind.LATE: 0.2, FaultKind.FUTURE: 0.01, FaultKind.UNREADABLE: 0.01}
"""Fixed bounds of what is set aside, as shares of all records: the reference knows nothing of them."""

ASIDE_TEXTS = {
    FaultKind.LATE: "came later than the allowed lateness and are not counted",
    FaultKind.FUTURE: "are dated an hour or more ahead of when they were scored and are not counted",
    FaultKind.UNREADABLE: "do not fit the schema, or name a model that the registry does not hold",
}


@dataclass(frozen=True, slots=True)
class QualityRules:
    """How sure a fault has to be, and what is no fault.

    Attributes:
        run_length: mean number of records between false alerts, at least.
        ignored: kinds, or "stream.kind", that are never told.
        sources: of every derived stream, those it is made of: their fault is not told twice.

    """

    run_length: float = 1_000_000
    ignored: frozenset[str] = frozenset()
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def follows_from(self, stream: str, faulty: Iterable[str]) -> bool:
        """Whether a stream is made of faulty ones: a derived one of its parts, the prediction of all."""
        others = set(faulty) - {stream, ALL}
        return bool(others) if stream == PREDICTION else bool(others & set(self.sources.get(stream, ())))


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """What a window holds: fine counts and sums, int64[T]; the sketch of its ids, None where not all were sketched.

    `aside`: late, future and unreadable records that are not among its `records`. `before`: by nominal stream, the
    counts of the windows before that had unknown categories (`pooled`).
    """

    watched: Watched
    records: int
    counts: Ints
    sums: Ints
    ids: IdSketch | None = None
    aside: tuple[int, int, int] = (0, 0, 0)
    before: Mapping[str, list[int]] = field(default_factory=dict)


def faults_of(contents: Contents, rules: QualityRules) -> list[Fault]:
    """All faults of a window, streams in the profile's order, then those of all records."""
    found = [*_streams(contents, rules), *_records(contents, rules)]
    faulty = {fault.stream for fault in found}
    return [
        fault
        for fault in found
        if not {fault.kind.value, f"{fault.stream}.{fault.kind.value}"} & rules.ignored
        and not rules.follows_from(fault.stream, faulty)
    ]


def level(contents: Contents, rules: QualityRules) -> float:
    """What a single test's p-value must be at or below."""
    tests = 1 + sum(TESTS[stream.kind] for stream in contents.watched.profile.streams)
    return min(LARGEST_LEVEL, contents.records / rules.run_length) / tests


def _streams(contents: Contents, rules: QualityRules) -> Iterator[Fault]:
    watched, limit = contents.watched, level(contents, rules)
    profile, layout = watched.profile, watched.layout
    if not contents.records or profile.rows < LEAST_REFERENCE:
        return
    outside = outside_p(layout.tests, layout.for_tests(profile.counts), layout.for_tests(contents.counts))
    parts = zip(profile.streams, layout.split(contents.counts), layout.split(contents.sums), outside, strict=True)
    for stream, counts, sums, p in parts:
        seen = Seen(stream, counts, sums)
        yield from missing(seen, limit)
        if stream.kind is Kind.NUMERIC:
            yield from numeric_faults(seen, limit, float(p))
        else:
            before = contents.before.get(stream.name)
            yield from unseen(seen, limit, None if before is None else np.array(before, dtype=np.int64))
            yield from constant(seen, limit, WHOLE, USUAL)


def _records(contents: Contents, rules: QualityRules) -> Iterator[Fault]:
    repeated = contents.ids.repeated() if contents.ids is not None else None
    if repeated is not None and repeated.share >= REPEATED_FLOOR and repeated.p_value <= level(contents, rules):
        text = f"{share_text(repeated.share)} of the records have an id that came before (± {repeated.error:.1%})"
        yield Fault(FaultKind.DUPLICATES, ALL, repeated.share, 0.0, REPEATED_FLOOR, repeated.p_value, text)
    everything = contents.records + sum(contents.aside)
    for (kind, bound), number in zip(ASIDE_FLOORS.items(), contents.aside, strict=True):
        if everything and number > bound * everything:
            share = number / everything
            text = f"{share_text(share)} of the records {ASIDE_TEXTS[kind]}"
            yield Fault(kind, ALL, share, 0.0, bound, None, text)


def pooled(contents: Contents, found: Iterable[Fault]) -> dict[str, list[int]]:
    """The next window's `before`: of streams that have unknown categories, the counts so far."""
    streams = zip(contents.watched.profile.streams, contents.watched.layout.split(contents.counts), strict=True)
    counts = {stream.name: of_stream[:-1].tolist() for stream, of_stream in streams}
    unknown = [fault.stream for fault in found if fault.kind in (FaultKind.TYPO, FaultKind.UNSEEN)]
    return {name: list(map(add, counts[name], contents.before.get(name, repeat(0)))) for name in unknown}


def volume(rates: list[float], rate: float) -> list[Fault]:
    """Whether the records' rate is far from the last windows' (`rates`, by event time), their median being the usual.

    A factor of `MOST_TIMES` is no matter of chance but of the day's course: the bound is fixed and lenient.
    """
    if len(rates) < LEARNT or rate <= 0:
        return []
    usual = float(np.median(rates))
    times = rate / usual
    if 1 / MOST_TIMES <= times <= MOST_TIMES:
        return []
    text = f"records come at {times:.3g} times the usual rate (by event time)"
    return [Fault(FaultKind.VOLUME, ALL, times, 1.0, MOST_TIMES, None, text)]


LEARNT = 20
"""Windows before their rate says anything."""

REMEMBERED = 50
"""Windows whose rates are remembered: after half as many another rate has become the usual one."""

MOST_TIMES = 20.0
"""The rate's factor, up or down."""
