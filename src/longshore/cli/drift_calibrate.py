"""`longshore drift calibrate`: what a reference makes usual, and which limits give which error rate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.table import Table

from longshore.cli.app import output_option, print_json
from longshore.cli.drift_files import FILE, read_frame, split_names
from longshore.cli.drift_table import cells, table_of, terminal
from longshore.cli.trace_text import clean
from longshore.cli.whole_file import check_place, write_whole
from longshore.errors import ConfigurationError
from longshore.monitor.calibration import scales_for
from longshore.monitor.pages.usual_lines import Usual
from longshore.monitor.pages.wording import METRICS
from longshore.monitor.reference import Reference
from longshore.monitor.run_lengths import limit_for, rules_of
from longshore.pages.wording import count_text, p_text, value_text
from longshore.profile import Calibration, Profile
from longshore.schema import Kind

SIZES = (100, 250, 500, 1_000, 2_500, 5_000, 10_000)
RUN_LENGTHS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
RULE = (2, 3)


@click.command("calibrate")
@click.argument("reference", type=FILE)
@click.option("--categorical", multiple=True, metavar="COLUMN", help="A nominal column that holds numbers. Repeatable.")
@click.option(
    "--to", type=click.Path(dir_okay=False, path_type=Path), help="Write the fitted profile (versioned JSON)."
)
@click.option(
    "--run-length",
    "run_lengths",
    type=click.FloatRange(min=1_000),
    multiple=True,
    metavar="RECORDS",
    help="Mean records between false alerts, 1,000 or more. Repeatable  [1k, 10k, 100k, 1M, 10M].",
)
@click.option(
    "--persistence",
    type=(int, int),
    default=RULE,
    show_default=True,
    metavar="N M",
    help="N of M windows over the limit make an alert, as monitor.persistence.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the simulation.")
@output_option
def calibrate(
    *,
    reference: Path,
    categorical: tuple[str, ...],
    to: Path | None,
    run_lengths: tuple[float, ...],
    persistence: tuple[int, int],
    seed: int,
    output: str,
) -> None:
    """Fit the CSV or Parquet file REFERENCE and say what drifts by chance alone.

    \b
    longshore drift calibrate train.csv
    longshore drift calibrate train.parquet --run-length 500000 --to train.profile

    First table: each metric's usual values (median, 95 %, 99 %) in windows of several sizes when nothing drifts: what
    folklore's single threshold (PSI 0.2) ignores. Second: the limit on a window's p-value for a stated mean number of
    records between false alerts. All of it is simulated on the rows of REFERENCE.
    """
    check_place(to)
    fitted = Reference.fit(read_frame(reference), split_names(categorical), seed=seed)
    calibration = fitted.profile.calibration
    _check_rule(calibration, persistence)
    stated = sorted(run_lengths) or list(RUN_LENGTHS)
    limits = _limits(calibration, persistence, stated)
    if to is not None:
        write_whole(to, fitted.profile.to_bytes())
    if output == "json":
        print_json(_as_dict(fitted.profile, persistence, limits, to))
        return
    console = terminal()
    console.print(_what(fitted.profile))
    for table in _usual_tables(fitted.profile):
        console.print(table)
    console.print(_limit_table(limits, stated, persistence))
    console.print(_meaning(calibration, persistence))
    if to is not None:
        console.print(f"{to}: {to.stat().st_size:,} bytes", highlight=False)


def _check_rule(calibration: Calibration, rule: tuple[int, int]) -> None:
    known = rules_of(calibration)
    if rule not in known:
        raise ConfigurationError(
            f"--persistence is {rule[0]} {rule[1]}, for which no error rate is simulated",
            mend=f"use one of {', '.join(f'{needed} {among}' for needed, among in known)}",
        )


def _limits(
    calibration: Calibration, rule: tuple[int, int], run_lengths: list[float] | list[int]
) -> list[dict[str, Any]]:
    """By simulated step, the limit of each run length; None where it is shorter than the shortest simulated run."""
    shortest = float(calibration.runs[0])
    judged = [(step, len(scales_for(float(step), calibration.rows))) for step in calibration.steps]
    return [
        {
            "window_records": int(step),
            "limits": {
                f"{run:.0f}": limit_for(calibration, rule, scales, float(step), run) if run / step >= shortest else None
                for run in run_lengths
            },
        }
        for step, scales in judged
    ]


def _as_dict(profile: Profile, rule: tuple[int, int], limits: list[dict[str, Any]], to: Path | None) -> dict[str, Any]:
    usual = Usual(profile)
    return {
        "rows": profile.rows,
        "streams": [
            {
                "name": stream.name,
                "kind": stream.kind.value,
                "usual": {str(size): usual.of(stream.name, size) for size in SIZES},
            }
            for stream in profile.streams
        ],
        "levels": profile.calibration.usual_levels.tolist(),
        "persistence": list(rule),
        "limits": limits,
        "simulated": {"references": profile.calibration.repeats, "scales": profile.calibration.scales.tolist()},
        "profile": str(to.absolute()) if to else None,
    }


def _what(profile: Profile) -> str:
    rows, streams = count_text(profile.rows, "row"), count_text(len(profile.streams), "stream")
    return f"{rows}, {streams}. What is usual when nothing drifts: median/95 %/99 %, by the window's records.\n"


def _usual_tables(profile: Profile) -> Iterator[Table]:
    """One for each stream: its metrics by window size."""
    usual = Usual(profile)
    for stream in profile.streams:
        numeric = stream.kind is Kind.NUMERIC
        headings = [*METRICS.values()]
        headings[headings.index("Wasserstein")] = "Wasserstein, σ" if numeric and stream.std > 0 else "Total variation"
        table = table_of(f"{clean(stream.name)}: usual values", ["window", *headings])
        for size in SIZES:
            found = usual.of(stream.name, size)
            quantiles = ["/".join(value_text(q, 2) for q in found.get(metric, ())) or "–" for metric in METRICS]
            table.add_row(*cells([count_text(size), *quantiles]))
        yield table


def _limit_table(limits: list[dict[str, Any]], run_lengths: list[float] | list[int], rule: tuple[int, int]) -> Table:
    title = f"The limit on a window's p-value, {rule[0]} of {rule[1]} windows over it for an alert"
    table = table_of(title, ["window", *(f"one in {count_text(run)}" for run in run_lengths)])
    for row in limits:
        found = [p_text(limit) if limit is not None else "–" for limit in row["limits"].values()]
        table.add_row(*cells([count_text(row["window_records"]), *found]))
    return table


def _meaning(calibration: Calibration, rule: tuple[int, int]) -> str:
    scales = ", ".join(str(int(scale)) for scale in np.sort(calibration.scales))
    return (
        f"Columns: mean records between false alerts; – : fewer than {calibration.runs[0]:g} windows. Windows are "
        f"judged at {scales} together. Settings: monitor.run_length_records, "
        f"monitor.persistence = [{rule[0]}, {rule[1]}]. "
        f"Simulated: {calibration.repeats} references of {calibration.rows:,} rows."
    )
