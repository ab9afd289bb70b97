"""`longshore model export-wandb`: a finished version as an offline run of Weights & Biases. Nothing leaves the machine.

A copy, one way, as for MLflow (`longshore.cli.model_mlflow`): whoever wants it on a server runs `wandb sync` on the
folder. The run's id is made of model and version, so that a second export ends up as the same run.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.cli.model_logged import metrics_of, parameters_of
from longshore.cli.model_names import opened, resolve
from longshore.errors import ConfigurationError
from longshore.registry import Registry


@click.command("export-wandb")
@click.argument("version")
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    show_default=True,
    help="The folder in which W&B makes its `wandb/offline-run-…`.",
)
@click.option("--project", help="W&B's project [longshore-<model>].")
@output_option
@pass_app
def export_wandb(app: App, version: str, folder: Path, project: str | None, output: str) -> None:
    """Log a version's parameters, metrics and files as an offline run of Weights & Biases.

    Needs the extra `wandb`, and no account: nothing is sent. `wandb sync` on the run's folder does that.
    """
    registry = opened(app)
    version, _ = resolve(registry, version)
    project = project or f"longshore-{registry.model}"
    done = _export(registry, version, folder, project)
    if output == "json":
        print_json(done)
    else:
        click.echo(f"{version} is the offline run {done['run_id']} of {project} in {done['folder']}")


def _export(registry: Registry, version: str, folder: Path, project: str) -> dict[str, Any]:
    try:
        import wandb  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise ConfigurationError("W&B is not installed", mend="install longshore[wandb]") from error
    manifest = registry.manifest(version)
    files = {file: registry.read(version, file) for file in manifest["files"]}
    if not folder.is_dir():
        raise ConfigurationError(f"--to {folder} is no folder", mend="name one that exists")
    quiet = wandb.Settings(
        silent=True, console="off", x_disable_stats=True, x_disable_meta=True, disable_git=True, disable_code=True
    )
    run = wandb.init(
        mode="offline",
        project=project,
        id=f"{registry.model}-{version}",
        name=version,
        dir=str(folder.absolute()),
        config=parameters_of(manifest),
        settings=quiet,
    )
    run.summary.update(metrics_of(manifest))
    with tempfile.TemporaryDirectory() as scratch:
        artifact = wandb.Artifact(f"{project}-{version}", "model")
        for file, data in files.items():
            Path(scratch, file).write_bytes(data)
            artifact.add_file(str(Path(scratch, file)), name=file)
        run.log_artifact(artifact)
        run.finish()
    return {"version": version, "run_id": run.id, "project": project, "folder": str(Path(run.dir).parent)}
