"""`longshore drift`: the stream's drift, live, as a page and told; two files compared; a reference calibrated.

This module holds the group and `compare`; the others are `drift_status`, `drift_report`, `drift_explain` and
`drift_calibrate`. What needs Kafka's client is imported when it is used: two files need none.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import click

from longshore.cli.app import output_option, print_json
from longshore.cli.drift_calibrate import calibrate
from longshore.cli.drift_explain import explain
from longshore.cli.drift_files import FILE, limits, quotients, read_frame, split_names
from longshore.cli.drift_report import report
from longshore.cli.drift_status import status
from longshore.cli.drift_table import joint_text, print_report
from longshore.cli.whole_file import check_place, write_whole
from longshore.errors import EXIT_FAILED
from longshore.monitor.pages import page as pages
from longshore.monitor.pages.of_report import page_of_report
from longshore.monitor.reference import Reference
from longshore.monitor.thresholds import Thresholds


@click.group("drift")
def drift() -> None:
    """The stream's drift: live, as a page, explained; or two files compared.

    \b
    longshore drift status --follow            the stream now
    longshore drift report --to drift.html     the stream so far, one page
    longshore drift explain last               the last episode: when, what, where, what was done
    longshore drift compare old.csv new.csv    two files, without Kafka
    longshore drift calibrate old.csv          what is usual, and what an alarm means
    """


@drift.command("compare")
@click.argument("reference", type=FILE)
@click.argument("current", type=FILE)
@click.option("--categorical", multiple=True, metavar="COLUMN", help="A nominal column that holds numbers. Repeatable.")
@click.option(
    "--ratio",
    "ratios",
    multiple=True,
    metavar="NAME=A/B",
    callback=quotients,
    help="Watch the ratio of two numeric columns, too. Repeatable.",
)
@click.option("--place", type=(str, str), metavar="EAST NORTH", help="The columns that are a place: drift on a map.")
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Chance of any alert when nothing drifted.",
)
@click.option(
    "--threshold",
    "thresholds",
    multiple=True,
    metavar="[COLUMN.]METRIC=LIMIT",
    callback=limits,
    help="A fixed limit of your own, in place of --alpha for the columns it is on: psi=0.2. Repeatable.",
)
@click.option(
    "--joint",
    is_flag=True,
    help="Judge whole rows, too: do the columns go together as they did? Seconds more; half of --alpha is its.",
)
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with every distribution.")
@click.option(
    "--verbose", "-v", is_flag=True, help="Beside each metric, what 95 % of undrifted comparisons stay below."
)
@click.option("--fail-on-alert", is_flag=True, help="Exit 1 when anything drifted.")
@output_option
@click.pass_context
def compare(
    ctx: click.Context,
    *,
    reference: Path,
    current: Path,
    categorical: tuple[str, ...],
    ratios: dict[str, tuple[str, str]],
    place: tuple[str, str] | None,
    alpha: float,
    thresholds: dict[str, float],
    joint: bool,
    html: Path | None,
    verbose: bool,
    fail_on_alert: bool,
    output: str,
) -> None:
    """Compare the file CURRENT with REFERENCE, column by column; CSV or Parquet, by their names.

    \b
    longshore drift compare train.parquet june.csv -v
    longshore drift compare train.csv june.csv --html june.html --fail-on-alert
    longshore drift compare train.csv june.csv --joint

    Give --joint after a change of joins, sources or code: a column that stands beside the wrong rows has the same
    distribution as ever, and only whole rows show it. It tells how well CURRENT's rows can be told from REFERENCE's
    (AUC: 0.5 not at all, 1 always) and by which columns. It needs 50 rows of each, independent of one another.

    --alpha is the chance of any alert at all when nothing drifted, over all columns and tests. Exits 0 whatever it
    found, unless --fail-on-alert is given.
    """
    check_place(html)
    fitted = Reference.fit(read_frame(reference), split_names(categorical), derived=ratios, place=place)
    compared = fitted.compare(read_frame(current), alpha=alpha, joint=joint)
    found = Thresholds.of(thresholds, fitted.names).apply(compared)
    if html is not None:
        now_ms = int(time.time() * 1_000)
        names = {"reference": reference.name, "current": current.name}
        page = page_of_report(found, **names, now_ms=now_ms, profile=fitted.profile)
        if found.joint is not None:
            alone = found.joint.alert and not any(stream.alert for stream in found.streams)
            page = replace(page, sentence=f"{'' if alone else page.sentence} {joint_text(found)}.".lstrip())
        write_whole(html, pages.html(page).encode())
    if output == "json":
        print_json(found.to_dict())
    else:
        print_report(found, verbose=verbose)
    if fail_on_alert and found.alert:
        ctx.exit(EXIT_FAILED)


for command in (calibrate, explain, report, status):
    drift.add_command(command)
