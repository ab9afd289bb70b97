"""`longshore drift report`: the stream's drift so far as one HTML file."""

from __future__ import annotations

import time
from pathlib import Path

import click

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.cli.drift_events import ProfileReader, nothing_yet, read_events
from longshore.cli.when import moment
from longshore.cli.whole_file import check_place, write_whole
from longshore.monitor.pages.of_events import EventsPage
from longshore.monitor.pages.page import html

WHEN = "ISO 8601 (2026-05-01T12:00Z), or an age: 90m, 2h, 7d."


@click.command("report")
@click.option(
    "--to",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("drift-report.html"),
    show_default=True,
    help="The file to write; an older one is replaced.",
)
@click.option("--since", metavar="TIME", callback=moment, help=f"Windows that end after this event time. {WHEN}")
@click.option("--until", metavar="TIME", callback=moment, help="Windows that begin before this event time.")
@output_option
@pass_app
def report(app: App, *, to: Path, since: int | None, until: int | None, output: str) -> None:
    """Write the stream's drift as one HTML file that needs no network, no script and no other file.

    \b
    longshore drift report
    longshore drift report --since 24h --to today.html

    Reads `drift.events`, and the reference distributions and usual values from the registry's profiles. On the page:
    what moved and when, each window's p-value with the limit and the alerts, the episodes with what was done, and for
    every stream its distributions then and now and its metrics over time, with the line that 95 % of undrifted windows
    stay below.
    """
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--since is not before --until: nothing lies between")
    check_place(to)
    gathered = EventsPage()
    for told in read_events(app, since=since, until=until):
        gathered.add(told)
    if not gathered.judged:
        raise nothing_yet(app)
    page = gathered.page(ProfileReader(app), name=app.schema.name, now_ms=int(time.time() * 1_000))
    write_whole(to, html(page).encode())
    if output == "json":
        print_json({"path": str(to.absolute()), **gathered.summary()})
    else:
        click.echo(page.sentence)
        click.echo(f"{to}: {to.stat().st_size:,} bytes")
