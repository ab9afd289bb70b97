"""`longshore model export-pmml`: a version for programs that score with PMML, where its steps have such a form."""

from __future__ import annotations

from pathlib import Path

import click

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.cli.model_names import opened, resolve
from longshore.cli.whole_file import check_place, write_whole
from longshore.errors import ConfigurationError
from longshore.key_files import Trust
from longshore.manifest import JOBLIB


@click.command("export-pmml")
@click.argument("version")
@click.option(
    "--to", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file; an older one is replaced."
)
@output_option
@pass_app
def export_pmml(app: App, version: str, to: Path, output: str) -> None:
    """Write a version as PMML 4.4.

    What `train --quick` makes has that form, and so have lines and mixtures of trees; prices of the neighbourhood,
    clusters and a target that is drawn in have none. The version's pickled pipeline is read: its signature is checked
    first, by the keys that are trusted here.
    """
    from longshore.served_model import ServedPipeline  # noqa: PLC0415  (`model --help` answers at once)
    from longshore.trainer.pmml import to_pmml  # noqa: PLC0415

    check_place(to)
    registry = opened(app)
    version, _ = resolve(registry, version)
    manifest = registry.manifest(version)
    if JOBLIB not in manifest["files"]:
        raise ConfigurationError(f"{version} has no {JOBLIB}", mend="choose a version that `longshore train` made")
    Trust(app.settings).keyring().verify(manifest, registry.notes.signatures(version))
    pipeline = ServedPipeline.load(registry.read(version, JOBLIB)).pipeline
    data = to_pmml(pipeline, manifest["needs"]["target"])
    write_whole(to, data)
    if output == "json":
        print_json({"version": version, "path": str(to.absolute()), "bytes": len(data)})
    else:
        click.echo(f"{to}: {version} as PMML, {len(data):,} bytes")
