"""`longshore data`: a file to train on or to replay, fetched or generated; and what is in one, as a page."""

from __future__ import annotations

from pathlib import Path

import click

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.cli.whole_file import check_place, write_whole
from longshore.dataset import cache_file, read_csv
from longshore.errors import ConfigurationError
from longshore.producers import archive
from longshore.producers.generator import POPULATION, districts_frame
from longshore.producers.progress import shown


@click.group("data")
def data() -> None:
    """Fetch, generate or explore training data."""


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


@data.command("explore")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--to",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("exploration.html"),
    show_default=True,
    help="The file to write; an older one is replaced.",
)
@click.option("--since", type=click.Path(path_type=Path), help="An earlier CSV file: the page tells what has changed.")
@output_option
@pass_app
def explore(app: App, *, file: Path, to: Path, since: Path | None, output: str) -> None:
    """Write what is in a CSV file with targets as one HTML page that needs no network, no script and no other file.

    \b
    longshore data explore houses.csv
    longshore data explore houses.csv --since last-year.csv --to houses.html

    On it: each column in figures and as a histogram, categories, missing and cut-off values, the target on the map,
    correlations, a scatter matrix, and what the schema's ratios tell. Every version has such a page of the rows it was
    fitted on: `longshore model report VERSION --page exploration`.
    """
    from longshore.trainer.pages.exploration import exploration  # noqa: PLC0415  (half of this module's start)
    from longshore.trainer.pages.summary import summarise  # noqa: PLC0415
    from longshore.trainer.rows import from_frame  # noqa: PLC0415

    check_place(to)
    if any(path is not None and to.resolve() == path.resolve() for path in (file, since)):
        raise ConfigurationError(f"--to {to} is the file that is explored", mend="name another file for the page")
    schema = app.schema
    rows, before = (
        None if path is None else from_frame(read_csv(path, schema, require_target=True), schema)
        for path in (file, since)
    )
    assert rows is not None  # noqa: S101  # FILE is required
    found = summarise(rows)
    page = exploration(rows, found, None if before is None else summarise(before), source=f"file {file.name}")
    write_whole(to, page.encode())
    if output == "json":
        print_json({"path": str(to.absolute()), "rows": len(rows), "sha256": found.sha256})
    else:
        click.echo(f"{to}: {to.stat().st_size:,} bytes, {len(rows):,} rows")
