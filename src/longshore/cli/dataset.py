"""`longshore dataset`: the versions of training sets: what they hold, in what they differ, whether they are whole."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
from pyarrow import csv

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.errors import ConfigurationError, DataError
from longshore.producers.archive import write_whole
from longshore.trainer.dataset_diff import compare, summaries
from longshore.trainer.dataset_file import HISTORY, table_of
from longshore.trainer.datasets import DATA, Datasets, uses_dvc
from longshore.trainer.dvc import dvc_file


@click.group("dataset")
def dataset() -> None:
    """Versions of training sets, named by the hash of their rows (its first digits will do)."""


@dataset.command("list")
@output_option
@pass_app
def list_versions(app: App, output: str) -> None:
    """Every version, oldest first: rows, source, and what it was made from."""
    datasets = Datasets.open(app.settings)
    manifests = datasets.manifests()
    for reason in datasets.damaged().values():
        click.echo(f"not listed: {reason}", err=True)
    if output == "json":
        print_json([{key: value for key, value in manifest.items() if key != "quality"} for manifest in manifests])
    elif manifests:
        click.echo(f"{'dataset':16}  {'created':19} {'rows':>9} {'history':>9}  {'parent':8}  source")
        for one in manifests:
            counts = f"{one['rows']['fresh']:>9,} {one['rows']['history']:>9,}"
            parent = (one["parent"] or "-")[:8]
            click.echo(f"{one['id']:16}  {one['created'][:19]} {counts}  {parent:8}  {one['origin']['source']}")
    else:
        click.echo(f"model {app.settings.model} has no dataset yet: run `longshore train`", err=True)


@dataset.command("show")
@click.argument("version")
@output_option
@pass_app
def show(app: App, version: str, output: str) -> None:
    """One version's manifest: origin, offsets, training cut, counts, schema and quality."""
    datasets = Datasets.open(app.settings)
    manifest = datasets.manifest(datasets.resolve(version))
    manifest = {**manifest, "path": str(datasets.path(manifest["id"], DATA))}
    if output == "json":
        print_json(manifest)
        return
    _print_manifest(manifest)


@dataset.command("diff")
@click.argument("before")
@click.argument("after")
@output_option
@pass_app
def diff(app: App, before: str, after: str, output: str) -> None:
    """In what AFTER differs from BEFORE: rows by record id, columns, and each column's figures."""
    datasets = Datasets.open(app.settings)
    names = [datasets.resolve(name) for name in (before, after)]
    manifests = [datasets.manifest(name) for name in names]
    rows = compare(*(table_of(datasets.read(name)) for name in names))
    moved = summaries(*(manifest["quality"] for manifest in manifests))
    if output == "json":
        print_json({"before": names[0], "after": names[1], **rows, "summaries": moved})
        return
    click.echo(f"rows      {rows['rows']['before']:,} → {rows['rows']['after']:,}, {rows['rows']['same']:,} the same")
    for kind in ("removed", "added", "changed"):
        examples = ", ".join(rows[kind]["examples"])
        click.echo(f"{kind:9} {rows[kind]['count']:,}{f' (for example {examples})' if examples else ''}")
    for name, count in rows["changed"]["columns"].items():
        click.echo(f"  {name} in {count:,} rows")
    for kind in ("removed", "added"):
        if rows["columns"][kind]:
            click.echo(f"columns {kind}: {', '.join(rows['columns'][kind])}")
    for name, figures in moved.items():
        numbers = [f"{key} {_figure(a)} → {_figure(b)}" for key, (a, b) in figures.items() if _is_figure(a, b)]
        click.echo(f"{name}: {', '.join(numbers) or ', '.join(figures)}")


@dataset.command("verify")
@click.argument("version", required=False)
@click.option("--stream", is_flag=True, help="Read the recorded offsets again, too: do they give the same rows?")
@output_option
@pass_app
def verify(app: App, version: str | None, stream: bool, output: str) -> None:
    """Hash the rows and the file of a version, or of every version, again; exit 1 where one is not what it was."""
    datasets = Datasets.open(app.settings)
    wanted = [datasets.resolve(version)] if version else datasets.ids()
    problems = {name: datasets.verify(name) for name in wanted}
    if not version:
        problems |= {name: [reason] for name, reason in datasets.damaged().items()}
    for name in (name for name in wanted if stream and not problems[name]):
        problems[name] = _read_again(app, datasets.manifest(name))
    if output == "json":
        print_json([{"dataset": name, "ok": not found, "problems": found} for name, found in problems.items()])
    else:
        for name, found in problems.items():
            click.echo(f"{name}  {'; '.join(found) or 'ok'}")
    if any(problems.values()):
        raise click.exceptions.Exit(1)


@dataset.command("restore")
@click.argument("version")
@click.option("--to", "target", type=click.Path(path_type=Path), required=True, help="A .parquet or .csv file.")
@click.option("--dvc", is_flag=True, help="Put a .dvc file beside it [where it lies in a DVC project].")
@output_option
@pass_app
def restore(app: App, version: str, target: Path, dvc: bool, output: str) -> None:
    """Write a version's rows to a file: Parquet as it is stored, or CSV. The file is whole or it is not there."""
    datasets = Datasets.open(app.settings)
    name = datasets.resolve(version)
    data = datasets.read(name)
    if target.suffix.lower() == ".csv":
        data = _as_csv(table_of(data))
    elif target.suffix.lower() != ".parquet":
        raise ConfigurationError(f"--to {target} is neither .parquet nor .csv", mend="give the file one of these ends")
    beside = target.with_name(f"{target.name}.dvc")
    files = {target: data}
    if dvc or uses_dvc(target.absolute().parent):
        files[beside] = dvc_file(target.name, data)
    for path, content in files.items():
        write_whole(path, content)
    if output == "json":
        print_json({"dataset": name, "files": [str(path) for path in files], "bytes": len(data)})
        return
    click.echo(f"{target}: dataset {name}, {len(data):,} bytes")


def _read_again(app: App, manifest: dict[str, Any]) -> list[str]:
    """Whether the offsets a version was read from still give its rows; nothing to say of one from a file."""
    from longshore.trainer.dataset_stream import StreamDataset  # noqa: PLC0415  (the other commands need no Kafka)

    origin = manifest["origin"]
    if not origin["offsets"]:
        return []
    trainer = app.settings.trainer.model_copy(update={"max_rows": origin["max_rows"]})
    settings = app.settings.model_copy(update={"trainer": trainer})
    stream = StreamDataset(settings, app.schema, stretch=(origin["from_offsets"], origin["offsets"]))
    try:
        rows = stream.refresh(origin["cut"])
    except DataError as error:
        return [str(error)]
    found = stream.training_set(rows, origin["fresh_from"]).sha256()
    return [] if found == manifest["sha256"] else [f"its offsets now give the rows {found[:16]}"]


def _as_csv(table: pa.Table) -> bytes:
    """The rows without the mark of history, which a file has no use for."""
    sink = io.BytesIO()
    csv.write_csv(table.drop_columns([HISTORY]), sink)
    return sink.getvalue()


def _print_manifest(manifest: dict[str, Any]) -> None:
    origin, quality = manifest["origin"], manifest["quality"]
    rows = f"{manifest['rows']['fresh']:,} fresh, {manifest['rows']['history']:,} history"
    left_out = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in origin["left_out"].items() if count)
    times = [_time(value) for value in manifest["event_time"] or ()]
    lines = {
        "dataset": manifest["id"],
        "sha256": manifest["sha256"],
        "created": manifest["created"],
        "run": manifest["trigger_id"],
        "parent": manifest["parent"] or "-",
        "source": origin["source"],
        "rows": rows + (f"; left out: {left_out}" if left_out else ""),
        "event time": " … ".join(times) or "-",
        "cut": "-" if origin["cut"] is None else _time(origin["cut"]),
        "schema": f"{manifest['schema']['name']} ({manifest['schema']['fingerprint']})",
        "file": manifest["path"],
    }
    for key, value in lines.items():
        click.echo(f"{key:11} {value}")
    for topic, upto in (origin["offsets"] or {}).items():
        first = origin["from_offsets"][topic]
        parts = [f"{number}: {first[number]}…{upto[number]}" for number in sorted(upto, key=int)]
        click.echo(f"{'offsets':11} {topic} {', '.join(parts) or 'nothing'}")
    click.echo(f"\n{'column':24} {'missing':>8} {'minimum':>12} {'mean':>12} {'maximum':>12}")
    for name, one in {**quality["columns"], f"{manifest['schema']['target']} (target)": quality["target"]}.items():
        figures = " ".join(f"{_figure(one.get(key)):>12}" for key in ("minimum", "mean", "maximum"))
        words = f"{one['distinct']} categories" if "distinct" in one else ""
        click.echo(f"{name:24} {one.get('missing', 0):>8.2%} {figures} {words}".rstrip())
    for remark in quality["remarks"]:
        click.echo(f"- {remark}")


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1_000, UTC).isoformat(timespec="seconds")


def _is_figure(*values: Any) -> bool:
    return all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)


def _figure(value: Any) -> str:
    return "-" if value is None else f"{value:,.6g}"
