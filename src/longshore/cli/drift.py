"""`longshore drift`: compare two files with the stream's engine, and the last state of the stream's drift."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec
import pandas as pd
from rich.console import Console
from rich.table import Table

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.errors import EXIT_FAILED, DataError
from longshore.monitor.reference import Reference
from longshore.monitor.report import Bins, Report, StreamReport
from longshore.records import DriftEvent

BARS = "▁▂▃▄▅▆▇█"

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("drift")
def drift() -> None:
    """Compare two files, or watch the stream's drift."""


@drift.command("compare")
@click.argument("reference", type=FILE)
@click.argument("current", type=FILE)
@click.option("--categorical", multiple=True, metavar="COLUMN", help="A nominal column that holds numbers. Repeatable.")
@click.option("--alpha", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.05, show_default=True)
@click.option("--fail-on-alert", is_flag=True, help="Exit 1 when anything drifted.")
@output_option
@click.pass_context
def compare(
    ctx: click.Context,
    *,
    reference: Path,
    current: Path,
    categorical: tuple[str, ...],
    alpha: float,
    fail_on_alert: bool,
    output: str,
) -> None:
    """Compare the CSV file CURRENT with REFERENCE, column by column.

    --alpha is the chance of any alert at all when nothing drifted, over all columns and tests. Exits 0 whatever it
    found, unless --fail-on-alert is given.
    """
    fitted = Reference.fit(_read_csv(reference), _split(categorical))
    report = fitted.compare(_read_csv(current), alpha=alpha)
    if output == "json":
        print_json(report.to_dict())
    else:
        _print_report(report)
    if fail_on_alert and report.alert:
        ctx.exit(EXIT_FAILED)


@drift.command("status")
@output_option
@pass_app
def status(app: App, output: str) -> None:
    """The stream's drift as the last events on `drift.events` have it."""
    from longshore.kafka.reader import read_all  # noqa: PLC0415  (compare works without Kafka's client)

    verdict: DriftEvent | None = None
    last: DriftEvent | None = None
    for batch in read_all(app.settings, app.topics.events):
        for message in batch:
            last = msgspec.json.decode(message.value() or b"", type=DriftEvent)
            verdict = last if last.kind == "verdict" else verdict
    if output == "json":
        print_json({"last": last, "verdict": verdict})
    elif last is None:
        click.echo("no drift events yet")
    else:
        _print_status(last, verdict)


def _split(categorical: tuple[str, ...]) -> list[str]:
    return [name.strip() for given in categorical for name in given.split(",") if name.strip()]


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (ValueError, OSError, pd.errors.ParserError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"{path} cannot be read as CSV: {reason}", mend="give a CSV file with a header line") from error


def _print_report(report: Report) -> None:
    table = Table(title=_title(report), title_justify="left")
    for heading in ("column", "p", "PSI", "KL", "JS", "Wasserstein", "in σ", "KS", "reference → current"):
        table.add_column(heading, justify="left" if heading in ("column", "reference → current") else "right")
    for stream in report.streams:
        table.add_row(*_row(stream), style="bold red" if stream.alert else None)
    console = Console()
    console.print(table)
    if report.reference_limited:
        console.print("reference-limited: the current rows are more than half as many as the reference's.")


def _title(report: Report) -> str:
    moved = sum(stream.alert for stream in report.streams)
    found = f"DRIFT in {moved} of {len(report.streams)} columns" if report.alert else "no drift"
    rows = f"{report.current_rows:,} rows against {report.reference_rows:,}"
    return f"{found} (p = {report.p_value:.2g}, alpha = {report.alpha:g}; {rows})"


def _row(stream: StreamReport) -> list[str]:
    sigma = "" if stream.wasserstein_sigma is None else f"{stream.wasserstein_sigma:.3f}"
    numbers = [f"{stream.p_value:.2g}", *(f"{v:.4f}" for v in (stream.psi, stream.kl, stream.js))]
    return [stream.name, *numbers, f"{stream.wasserstein:.4g}", sigma, f"{stream.ks:.4f}", picture(stream.bins)]


def picture(bins: Bins, width: int = 14) -> str:
    """Bars of the bins' shares, reference and current on one scale; a nominal stream's largest `width` bins."""
    shares: list[list[float]] = [
        [c / max(1, sum(side)) for c in side[:width]] for side in (bins.reference, bins.current)
    ]
    highest = max(max(side, default=0.0) for side in shares) or 1.0
    bars = [sparkline(side, highest) for side in shares]
    return f"{bars[0]} → {bars[1]}"


def sparkline(shares: list[float], highest: float) -> str:
    """One bar for each share, on a scale that ends at `highest`."""
    return "".join(_bar(share / highest) for share in shares)


def _bar(height: float) -> str:
    return " " if height <= 0 else BARS[min(len(BARS) - 1, int(height * len(BARS)))]


def _print_status(last: DriftEvent, verdict: DriftEvent | None) -> None:
    console = Console()
    console.print(
        f"state {last.state}; last event {last.kind}; model {last.model_version} (generation {last.generation})"
    )
    if verdict is None:
        return
    window = verdict.window
    table = Table(title=f"window {verdict.window_index}: {window.records:,} records", title_justify="left")
    columns: list[tuple[str, Any]] = [("p", "p_value"), ("PSI", "psi"), ("JS", "js"), ("KS", "ks")]
    for heading in ("stream", *(name for name, _ in columns)):
        table.add_column(heading, justify="left" if heading == "stream" else "right")
    for stream in verdict.streams:
        cells = [f"{getattr(stream, attribute):.3g}" for _, attribute in columns]
        table.add_row(stream.name, *cells, style="bold red" if stream.alert else None)
    console.print(table)
