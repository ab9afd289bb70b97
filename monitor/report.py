"""A comparison's result: one report per window, its streams ranked, most moved first.

Builds reports from counts (the stream's path) or from counts and samples (the library's). The table and the picture
of a terminal are `longshore.cli.drift`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from longshore.monitor import distances
from longshore.monitor.joint import AUC_FLOOR, Joint
from longshore.monitor.layout import FineLayout
from longshore.monitor.segments import SegmentMoved
from longshore.monitor.significance import FLOORS, LEAST_REFERENCE, Judgement, judge
from longshore.monitor.usual import METRICS, usual_for
from longshore.profile import DEFINITIONS, Floats, Ints, Profile, StreamProfile
from longshore.records import Moved
from longshore.schema import Kind

FAMILIES = 2
"""That share alpha when the columns are judged together, too: the streams, and the joint test."""


@dataclass(frozen=True, slots=True)
class Bins:
    """The decile or category bins behind a stream's numbers: `labels`, and records of each side.

    `edges` are the deciles' upper edges (numeric streams), the last value bin being open.
    """

    labels: list[str]
    edges: list[float]
    reference: list[int]
    current: list[int]


@dataclass(frozen=True, slots=True)
class StreamReport:
    """One stream of a comparison.

    Attributes:
        name: the column.
        kind: `numeric` or `nominal`.
        alert: significant for the whole family of tests *and* above the effect floor.
        p_value: calibrated and adjusted for all streams and tests of the comparison: the chance that anything at all
            would look this unusual without drift.
        psi: population stability index, nats.
        kl: Kullback-Leibler divergence of current from reference, nats.
        js: Jensen-Shannon distance, base 2, 0…1.
        wasserstein: in the stream's unit; nominal: total variation.
        wasserstein_sigma: divided by the reference's population standard deviation; None for nominal or constant ones.
        ks: Kolmogorov-Smirnov statistic.
        ks_p_value: its own p-value, unadjusted (nominal: Pearson's χ²).
        rank_distance: Wasserstein distance in reference-rank space, 0…1: what alarms judge; 0 for nominal.
        outside: the share of values below or above all that the reference held; 0 for nominal.
        chi_squared: Pearson's χ² of the decile or category counts.
        hellinger: Hellinger distance of their shares, 0…1.
        own_p_value: of this stream's tests alone, not adjusted for the others: what streams are ranked by.
        usual: by distance, its median, 95 % and 99 % quantile without drift at this window's size.
        bins: what moved.
        fixed: the user's own limits by metric, which decided the alert; empty: the calibrated tests did.
        q_value: the false-discovery rate at which this stream counts as moved: of the streams with q ≤ 0.1 at most a
            tenth are expected to be false (`benjamini_hochberg` of all streams' own p-values).

    """

    name: str
    kind: str
    alert: bool
    p_value: float
    psi: float
    kl: float
    js: float
    wasserstein: float
    wasserstein_sigma: float | None
    ks: float
    ks_p_value: float
    rank_distance: float
    outside: float
    chi_squared: float
    hellinger: float
    own_p_value: float
    usual: dict[str, list[float]]
    bins: Bins
    fixed: dict[str, float] = field(default_factory=dict)
    q_value: float = 1.0

    def moved(self) -> Moved:
        """The stream as it stands in a drift event's ranking."""
        return Moved(**{name: getattr(self, name) for name in Moved.__struct_fields__})


@dataclass(frozen=True, slots=True)
class Report:
    """A window against the reference; `streams` most moved first: alerts, then by own p-value, then by distance.

    `joint` is the test of the columns together, where it was asked for. Then it and the streams share alpha, and all
    p-values that are adjusted (not `own_p_value`) are adjusted for that, too.
    """

    alert: bool
    p_value: float
    alpha: float
    reference_rows: int
    current_rows: int
    reference_limited: bool
    streams: list[StreamReport]
    segments: list[SegmentMoved] = field(default_factory=list)
    joint: Joint | None = None

    def picture(self) -> dict[str, Any]:
        """What moved in the top stream: each bin's share on both sides."""
        top = self.streams[0]
        p, q = top.bins.reference, top.bins.current
        return {
            "stream": top.name,
            "bins": top.bins.labels,
            "edges": top.bins.edges,
            "reference": [count / max(1, sum(p)) for count in p],
            "current": [count / max(1, sum(q)) for count in q],
        }

    def not_enough_data(self) -> str:
        """Why nothing was judged; empty where it was."""
        rows = self.reference_rows
        if rows >= LEAST_REFERENCE:
            return ""
        return (
            f"not enough data: the reference has {rows} row{'s' * (rows != 1)}, at least {LEAST_REFERENCE} are needed"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: every attribute, each stream's bins with edges and counts, and the thresholds."""
        return {
            "definitions": DEFINITIONS,
            "not_enough_data": self.not_enough_data(),
            **asdict(self),
            "thresholds": {"alpha": self.alpha} | FLOORS | ({"auc_floor": AUC_FLOOR} if self.joint else {}),
        }


def report_counts(profile: Profile, layout: FineLayout, counts: Ints, sums: Ints, alpha: float) -> Report:
    """The report of a window of counts, int64[T], with the bins' fixed-point sums, int64[T], judged by itself."""
    sides = (layout.for_tests(profile.counts), layout.for_tests(counts))
    judged = judge(layout.tests, profile.calibration, *sides, alpha)
    return report_judged(profile, layout, (counts, sums), judged, alpha)


def report_judged(
    profile: Profile, layout: FineLayout, window: tuple[Ints, Ints], judged: Judgement, alpha: float
) -> Report:
    """The report of a window, its counts and sums int64[T] each, that was judged already.

    Wasserstein and KS are those of the bins: approximations of the samples' (docs/drift.md).
    """
    counts, sums = window
    parts = zip(profile.streams, layout.split(counts), layout.split(sums), strict=True)
    rows = int(counts[: layout.sizes[0]].sum())
    usual = usual_for(profile.calibration, rows)
    q_values = benjamini_hochberg(judged.single)
    streams = [
        replace(_stream(i, stream, (part, total), judged, usual[i]), q_value=float(q_values[i]))
        for i, (stream, part, total) in enumerate(parts)
    ]
    return Report(
        alert=judged.alert,
        p_value=judged.p_value,
        alpha=alpha,
        reference_rows=profile.rows,
        current_rows=rows,
        reference_limited=rows > profile.rows / 2,
        streams=sorted(streams, key=most_moved),
    )


def with_samples(report: Report, profile: Profile, samples: Iterable[tuple[str, Floats, Floats]]) -> Report:
    """The same report with the numeric streams' Wasserstein and KS exact, from (name, reference, current) values."""
    std = {stream.name: stream.std for stream in profile.streams}
    exact: dict[str, dict[str, Any]] = {}
    for name, reference, current in samples:
        moved = distances.wasserstein(reference, current)
        ks, ks_p = distances.kolmogorov_smirnov(reference, current)
        sigma = moved / std[name] if std[name] > 0 else None
        exact[name] = {"wasserstein": moved, "wasserstein_sigma": sigma, "ks": ks, "ks_p_value": ks_p}
    return replace(report, streams=[replace(s, **exact.get(s.name, {})) for s in report.streams])


def with_joint(report: Report, joint: Joint, alpha: float) -> Report:
    """The report of streams judged at alpha / `FAMILIES`, with the test of the columns together judged at as much.

    Bonferroni's inequality: the chance of any alert stays at most alpha, however the two depend on each other. All
    adjusted p-values are of both families, so that each is still compared with alpha.
    """
    streams = [replace(stream, p_value=min(1.0, FAMILIES * stream.p_value)) for stream in report.streams]
    return replace(
        report,
        alert=report.alert or joint.alert,
        p_value=min(1.0, FAMILIES * report.p_value, joint.p_value),
        alpha=alpha,
        streams=streams,
        joint=joint,
    )


def benjamini_hochberg(p_values: Floats) -> Floats:
    """q-values, float64[n]: the smallest rate at which each is among the discoveries (Benjamini & Hochberg 1995).

    With p₍₁₎ ≤ … ≤ p₍ₙ₎ it is q₍ᵢ₎ = min over j ≥ i of p₍ⱼ₎·n/j. Those with q ≤ r hold at most a share r of false
    ones on average, where the tests are independent or, as columns that move together mostly are, positively dependent
    (Benjamini & Yekutieli 2001).
    """
    order = np.argsort(p_values, kind="stable")
    count = len(p_values)
    scaled = p_values[order] * (count / np.arange(1, count + 1))
    q_values = np.empty(count)
    q_values[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return q_values


def most_moved(stream: StreamReport) -> tuple[bool, float, float, str]:
    """The order of streams: alerts first, then the most significant, then the farthest."""
    return (not stream.alert, stream.own_p_value, -stream.js, stream.name)


def _stream(i: int, stream: StreamProfile, window: tuple[Ints, Ints], judged: Judgement, usual: Floats) -> StreamReport:
    counts, sums = window
    starts = np.flatnonzero(np.r_[True, np.diff(stream.coarse) != 0])
    reference, current = np.add.reduceat(stream.counts, starts), np.add.reduceat(counts, starts)
    p, q = distances.shares(reference), distances.shares(current)
    numeric = stream.kind is Kind.NUMERIC
    moved, sigma, ks, ks_p = _ordered(stream, counts, sums) if numeric else _unordered(reference, current)
    return StreamReport(
        name=stream.name,
        kind=stream.kind.value,
        alert=bool(judged.alerts[i]),
        p_value=float(judged.p_values[i]),
        psi=distances.population_stability_index(p, q),
        kl=distances.relative_entropy(p, q),
        js=distances.jensen_shannon(p, q),
        wasserstein=moved,
        wasserstein_sigma=sigma,
        ks=ks,
        ks_p_value=ks_p,
        rank_distance=float(judged.rank_distance[i]),
        outside=float(judged.outside[i]),
        chi_squared=distances.chi_squared(reference, current)[0],
        hellinger=distances.hellinger(p, q),
        own_p_value=float(judged.single[i]),
        usual=dict(zip(METRICS, usual.tolist(), strict=False)),  # a profile of the first format has none
        bins=_bins(stream, starts, reference, current),
    )


def _ordered(stream: StreamProfile, counts: Ints, sums: Ints) -> tuple[float, float | None, float, float]:
    moved = distances.wasserstein_of_bins(
        stream.edges, (stream.counts[:-1], stream.sums[:-1]), (counts[:-1], sums[:-1]), stream.scale
    )
    ks, ks_p = distances.kolmogorov_smirnov_of_bins(stream.counts[:-1], counts[:-1])
    return moved, moved / stream.std if stream.std > 0 else None, ks, ks_p


def _unordered(reference: Ints, current: Ints) -> tuple[float, float | None, float, float]:
    p, q = reference / max(reference.sum(), 1), current / max(current.sum(), 1)
    ks = distances.kolmogorov_smirnov_nominal(p, q)
    return distances.total_variation(p, q), None, ks, distances.chi_squared(reference, current)[1]


def _bins(stream: StreamProfile, starts: Ints, reference: Ints, current: Ints) -> Bins:
    if stream.kind is Kind.NOMINAL:
        labels, edges = [*stream.categories, "(unseen)", "(missing)"], []
    else:
        edges = [float(stream.edges[at - 1]) for at in starts[1:-1]]
        lower = [f"> {edge:.6g}" for edge in edges]
        labels = [*(f"≤ {edge:.6g}" for edge in edges), lower[-1] if lower else "(any)", "(missing)"]
    return Bins(labels, edges, reference.tolist(), current.tolist())
