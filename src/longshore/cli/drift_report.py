"""`longshore drift report`: the stream so far, or a range of its past, as one HTML file; once, or by the calendar."""

from __future__ import annotations

import time
from pathlib import Path

import click

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.cli.drift_events import nothing_yet
from longshore.cli.drift_folder import ReportFolder
from longshore.cli.drift_page import make
from longshore.cli.drift_past import Range
from longshore.cli.drift_schedule import Reporter, follow
from longshore.cli.when import minute_of_day, moment, span
from longshore.cli.whole_file import check_place, write_whole
from longshore.errors import DataError
from longshore.service import running
from longshore.slots import SCHEDULES

WHEN = "ISO 8601 (2026-05-01T12:00Z), or an age: 90m, 2h, 7d."
PAGE = Path("drift-report.html")


@click.command("report")
@click.option("--to", type=click.Path(path_type=Path), help=f"The file to write [{PAGE}]; with --every, the folder.")
@click.option("--since", metavar="TIME", callback=moment, help=f"Windows that end after this event time. {WHEN}")
@click.option("--until", metavar="TIME", callback=moment, help="Windows that begin before this event time.")
@click.option("--last", metavar="SPAN", callback=span, help="The last so much time until now: 24h, 7d, 4w.")
@click.option("--every", type=click.Choice(SCHEDULES), help="Stay, and report on every day or week that is over.")
@click.option("--at", default="06:00", show_default=True, callback=minute_of_day, help="When a day ends (UTC).")
@click.option("--wait", default="10m", show_default=True, callback=span, help="From a slot's end to its report.")
@click.option("--keep", type=click.IntRange(1), default=30, show_default=True, help="Reports that stay in the folder.")
@output_option
@pass_app
def report(
    app: App,
    *,
    to: Path | None,
    since: int | None,
    until: int | None,
    last: int | None,
    every: str | None,
    at: int,
    wait: int,
    keep: int,
    output: str,
) -> None:
    """Write the stream's drift as one HTML file that needs no network, no script and no other file.

    \b
    longshore drift report
    longshore drift report --last 7d --to week.html
    longshore drift report --since 2026-11-01 --until 2026-11-08 --to then.html
    longshore drift report --every daily --at 06:00 --to reports/

    Reads `drift.events`, and the reference distributions and usual values from the registry's profiles. On the page:
    what moved and when, each window's p-value with the limit and the alerts, every alert and request with its reason
    and what became of it, the versions that were in use, the faults of the data, the realised error beside the held-out
    rows' with its intervals and its segments, what became of labels, and for every stream its distributions then and
    now and its metrics over time, with the line that 95 % of undrifted windows stay below.

    A range is of event time: all of a window that lies partly in it belongs to it. It is read by the topic's time
    index, not from the beginning; where retention has deleted some of it, the page says so.

    With --every it stays until SIGTERM and writes for every slot (days end at --at, weeks on Mondays) a page and the
    same as JSON, named by their range, and an index.html. After a pause it makes up for the last slot only.
    """
    if every is not None:
        if to is None or (since, until, last, output) != (None, None, None, "table"):
            raise click.UsageError("--every needs --to FOLDER, and goes without --since, --until, --last and --output")
        folder = ReportFolder(to, app.schema.name, keep)
        folder.prepare()
        with running("report", app.settings) as runtime:
            follow(Reporter(app, folder, every, at, wait), runtime)
        return
    _once(app, to or PAGE, _range(since, until, last), output)


def _range(since: int | None, until: int | None, last: int | None) -> Range:
    if last is not None:
        if since is not None or until is not None:
            raise click.UsageError("--last stands for both --since and --until: give one or the other")
        now_ms = int(time.time() * 1_000)
        return Range(now_ms - last, now_ms)
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--since is not before --until: nothing lies between")
    return Range(since, until)


def _once(app: App, to: Path, given: Range, output: str) -> None:
    check_place(to)
    made = make(app, given, now_ms=int(time.time() * 1_000))
    if not made.judged:
        if made.missing:
            raise DataError(made.missing, mend="ask for a later range, or see what backup of the topic there is")
        raise nothing_yet(app)
    write_whole(to, made.html.encode())
    if output == "json":
        print_json({"path": str(to.absolute()), **made.values})
        return
    click.echo(made.sentence)
    if made.missing:
        click.echo(made.missing, err=True)
    click.echo(f"{to}: {to.stat().st_size:,} bytes")
