"""`longshore data fetch` and `longshore data generate`: a file to train on or to replay."""

from __future__ import annotations

from pathlib import Path

import click

from longshore.cli.app import output_option, print_json
from longshore.dataset import cache_file
from longshore.producers import archive
from longshore.producers.generator import POPULATION, districts_frame
from longshore.producers.progress import shown


@click.group("data")
def data() -> None:
    """Fetch or generate training data."""


@data.command("fetch")
@click.option(
    "--url", default=archive.URL, envvar="LONGSHORE_DATA_URL", show_default=True, help="The archive's address."
)
@click.option("--sha256", default=archive.SHA256, help="The sum that housing.csv must have [the 1990 census's].")
@click.option("--force", is_flag=True, help="Download even where the file is already there.")
@output_option
def fetch(url: str, sha256: str, force: bool, output: str) -> None:
    """Download the public archive once and keep its housing.csv in the cache, if its sum is the known one.

    Every command that is given no --data then finds it there ($XDG_CACHE_HOME/longshore, else ~/.cache/longshore).
    """
    path = cache_file()
    fetched = force or not archive.present(path, sha256.lower())
    if fetched:
        with shown(f"fetching {archive.MEMBER}", None, "bytes") as advance:
            archive.fetch(url, path, sha256.lower(), advance)
    if output == "json":
        print_json({"path": str(path), "sha256": sha256.lower(), "fetched": fetched})
        return
    click.echo(f"{path} {'fetched' if fetched else 'is already there'}, sha256 as expected")


@data.command("generate")
@click.option(
    "--rows", type=click.IntRange(1, 10_000_000), default=20_640, show_default=True, help="How many districts."
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=42, show_default=True, help="Which population.")
@click.option(
    "--start",
    type=click.IntRange(0, 10**15),
    default=POPULATION,
    show_default=True,
    help="Number of the first district; the default keeps off those that `produce` streams.",
)
@click.option("--to", "target", type=click.Path(path_type=Path), required=True, help="The CSV file to write.")
@output_option
def generate(rows: int, seed: int, start: int, target: Path, output: str) -> None:
    """Write generated districts with known prices as CSV (housing.csv's columns plus district_id)."""
    content = districts_frame(rows, seed, start).to_csv(index=False)
    archive.write_whole(target, content.encode())
    if output == "json":
        print_json({"path": str(target), "rows": rows, "seed": seed, "start": start})
        return
    click.echo(f"{target}: {rows:,} districts")
