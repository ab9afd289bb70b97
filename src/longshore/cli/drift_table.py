"""Drift on a terminal: tables of streams and little pictures. Nothing in a column's name acts on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from longshore.cli.trace_text import clean, terminal_width
from longshore.monitor.pages.of_report import readings_of
from longshore.monitor.pages.wording import outside_text
from longshore.monitor.report import Bins, Report, StreamReport
from longshore.pages.scales import evidence
from longshore.pages.wording import count_text, listed, p_is, p_text, value_text

BARS = "▁▂▃▄▅▆▇█"
ALERT = "bold red"
LEFT = frozenset({"column", "stream", "reference → current", "last p-values", "metric", "range", "time", "what"})
"""Headings of columns that hold words or pictures; numbers stand right."""


def table_of(title: str, headings: Sequence[str]) -> Table:
    """An empty table with these columns."""
    table = Table(title=Text(title), title_justify="left", title_style="bold")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in LEFT else "right", overflow="fold")
    return table


def cells(texts: Iterable[str]) -> list[Text]:
    """Cells that say what they say: no markup, and no control characters but the ends of lines."""
    return [Text("\n".join(clean(line) for line in text.split("\n"))) for text in texts]


def terminal() -> Console:
    """Where tables go; as wide as the terminal, and wide enough for them where there is none."""
    return Console(width=terminal_width())


def sparkline(shares: Sequence[float], highest: float) -> str:
    """One bar for each share, on a scale that ends at `highest`."""
    return "".join(_bar(share / highest) for share in shares)


def p_sparkline(p_values: Sequence[float], limit: float | None) -> str:
    """p-values, rarer higher; half the height is the limit."""
    edge = 2 * evidence(limit) if limit else 4.0
    return sparkline([max(evidence(p), 0.01) for p in p_values], max(edge, 0.1))


def picture(bins: Bins, width: int = 14) -> str:
    """Bars of the bins' shares, reference and current on one scale; a nominal stream's largest `width` bins."""
    shares: list[list[float]] = [
        [c / max(1, sum(side)) for c in side[:width]] for side in (bins.reference, bins.current)
    ]
    highest = max(max(side, default=0.0) for side in shares) or 1.0
    bars = [sparkline(side, highest) for side in shares]
    return f"{bars[0]} → {bars[1]}"


def _bar(height: float) -> str:
    return " " if height <= 0 else BARS[min(len(BARS) - 1, int(height * len(BARS)))]


def print_report(report: Report, *, verbose: bool) -> None:
    """A comparison as a table; `verbose`: beside each metric what 95 % of undrifted windows stay below."""
    headings = ["column", "p", "PSI", "KL", "JS", "Wasserstein", "in σ", "KS", "reference → current"]
    table = table_of(_title(report), headings)
    for stream in report.streams:
        table.add_row(*cells(_row(stream, verbose=verbose)), style=ALERT if stream.alert else None)
    console = terminal()
    console.print(table)
    for stream in report.streams:
        if stream.alert and (beyond := outside_text(stream.outside)):
            console.print(Text(clean(f"{stream.name}: {beyond}"), style=ALERT))
    if report.joint is not None:
        console.print(Text(clean(joint_text(report)), style=ALERT if report.joint.alert else ""))
    if verbose:
        rows = count_text(report.current_rows, "row")
        console.print(f"≤: where nothing drifts, 95 % of comparisons of {rows} stay at or below it.")
        console.print(Text(clean(_discovered(report))))
    if report.not_enough_data():
        console.print(Text(clean(f"Nothing was judged: {report.not_enough_data()}.")))
    elif report.reference_limited:
        console.print("reference-limited: the current rows are more than half as many as the reference's.")


def joint_text(report: Report) -> str:
    """What the test of the columns together found, in one line; empty where it was not asked for."""
    joint = report.joint
    if joint is None or joint.reason:
        return f"Columns together: {joint.reason}" if joint else ""
    rows = f"{joint.current_rows:,} rows against {joint.reference_rows:,}"
    numbers = f"AUC {joint.auc:.3f}, {p_is(joint.p_value)}; {rows}"
    if not joint.alert:
        return f"Columns together: no drift ({numbers})"
    found = f"Columns together: DRIFT ({numbers})"
    if not joint.ranked:
        return found
    alone = "" if any(stream.alert for stream in report.streams) else "; none moved alone"
    return f"{found}, told by {listed([used.name for used in joint.ranked])}{alone}"


def _discovered(report: Report) -> str:
    """The streams at a false-discovery rate of a tenth: more than alert, for whoever can look at some in vain."""
    names = [stream.name for stream in report.streams if stream.q_value <= 0.1]
    return f"q ≤ 0.1 (of these at most a tenth are expected to be false): {listed(names, 20) if names else 'none'}"


def _title(report: Report) -> str:
    moved = sum(stream.alert for stream in report.streams)
    found = f"DRIFT in {moved} of {len(report.streams)} columns" if report.alert else "no drift"
    if report.alert and not moved:
        found = "DRIFT of the columns together, in none alone"
    rows = f"{report.current_rows:,} rows against {report.reference_rows:,}"
    return f"{found} ({p_is(report.p_value)}, alpha = {report.alpha:g}; {rows})"


def _row(stream: StreamReport, *, verbose: bool) -> list[str]:
    usual = {reading.metric: reading.usual for reading in readings_of(stream)}
    own = stream.usual.get("wasserstein")

    def beside(value: float, high: float | None) -> str:
        return f"{value_text(value)}\n≤ {value_text(high, 2)}" if verbose and high is not None else value_text(value)

    def high(metric: str) -> float | None:
        known = usual.get(metric)
        return known[1] if known else None

    sigma = "" if stream.wasserstein_sigma is None else beside(stream.wasserstein_sigma, high("wasserstein"))
    return [
        stream.name,
        p_text(stream.p_value),
        *(beside(getattr(stream, metric), high(metric)) for metric in ("psi", "kl", "js")),
        beside(stream.wasserstein, own[1] if own else None),
        sigma,
        beside(stream.ks, high("ks")),
        picture(stream.bins),
    ]
