"""A comparison's page from its report: every stream's distributions then and now, values beside what is usual."""

from __future__ import annotations

from longshore.monitor.pages.contents import Page, Part, Reading
from longshore.monitor.pages.moved import distribution, moved_ranges
from longshore.monitor.pages.places import places_of
from longshore.monitor.pages.readings import fixed_limit, wasserstein_title
from longshore.monitor.pages.wording import METRICS, outside_text
from longshore.monitor.report import Report, StreamReport
from longshore.monitor.significance import JS_FLOOR
from longshore.pages.wording import count_text, listed, p_is, p_text, share_text, time_text
from longshore.profile import Profile


def page_of_report(
    report: Report, *, reference: str, current: str, now_ms: int, profile: Profile | None = None
) -> Page:
    """The page of a comparison of two files, which are named; `profile`: the reference's, for the map."""
    rows = (float(report.reference_rows), float(report.current_rows))
    parts = [_part(stream, rows) for stream in report.streams]
    moved = [part for part in parts if part.alert]
    return Page(
        title=f"Drift of {current}",
        subtitle=f"against {reference}",
        state="drift" if report.alert else "no drift",
        tone="bad" if report.alert else "good",
        sentence=_sentence(report, moved),
        tiles=[
            ("Columns that moved", count_text(len(moved)), f"of {count_text(len(parts))}"),
            ("p-value", p_text(report.p_value), f"of all columns together; alert at {report.alpha:g}"),
            ("Rows", count_text(report.current_rows), f"against {count_text(report.reference_rows)} of the reference"),
        ],
        parts=parts,
        made=time_text(now_ms),
        notes=_notes(report),
        places=places_of(report.segments, profile),
        level=f"Where nothing drifts, {report.alpha * 100:g} % of comparisons alert, over all columns and tests.",
    )


def readings_of(stream: StreamReport) -> list[Reading]:
    """A stream's metrics with what is usual; Wasserstein in σ where there is one."""
    titles = {**METRICS, "wasserstein": wasserstein_title(stream.kind, stream.wasserstein_sigma)}
    usual = {metric: list(values) for metric, values in stream.usual.items()}
    values = {metric: float(getattr(stream, metric)) for metric in METRICS}
    if stream.wasserstein_sigma is not None:
        scale = stream.wasserstein_sigma / stream.wasserstein if stream.wasserstein else 0.0
        values["wasserstein"] = stream.wasserstein_sigma
        usual["wasserstein"] = [value * scale for value in usual.get("wasserstein", [])] if scale else []
    return [
        Reading(
            metric,
            titles[metric],
            values[metric],
            _three(usual.get(metric)),
            JS_FLOOR if metric == "js" else None,
            fixed_limit(stream.fixed, metric, sigma=stream.wasserstein_sigma is not None),
        )
        for metric in METRICS
    ]


def _three(values: list[float] | None) -> tuple[float, float, float] | None:
    return (values[0], values[1], values[2]) if values and len(values) >= 3 else None


def _part(stream: StreamReport, rows: tuple[float, float]) -> Part:
    bins = stream.bins
    found = distribution(bins.labels, bins.edges, bins.reference, bins.current, rows=rows)
    return Part(
        name=stream.name,
        kind=stream.kind,
        alert=stream.alert,
        p_value=stream.p_value,
        readings=readings_of(stream),
        distribution=found,
        ranges=moved_ranges(found),
        usual_rows=int(rows[1]),
        outside=stream.outside,
    )


def _sentence(report: Report, moved: list[Part]) -> str:
    rows = f"{count_text(report.current_rows, 'row')} against {count_text(report.reference_rows)}"
    if report.not_enough_data():
        return f"Nothing was judged: {report.not_enough_data()}."
    if not moved:
        return f"Nothing moved more than chance: {rows}, {p_is(report.p_value)}."
    text = f"{listed([part.name for part in moved])} moved"
    if moved[0].ranges:
        first = moved[0].ranges[0]
        text += f" ({moved[0].name} {first.name}: {share_text(first.then)} then, {share_text(first.now)} now)"
    if beyond := outside_text(moved[0].outside):
        text += f" ({beyond})"
    return f"{text}: {rows}."


def _notes(report: Report) -> list[str]:
    if report.not_enough_data() or not report.reference_limited:
        return []
    return [
        "Reference-limited: there are more than half as many current rows as reference rows, whose own noise limits "
        "what can be seen."
    ]
