"""`longshore model export-mlflow`: a finished version as a run and a registered model of an MLflow that others look at.

A copy, one way: nothing is read back, and MLflow decides nothing here. The same version exported again is the same run.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.cli.model_logged import metrics_of, parameters_of
from longshore.cli.model_names import ALIASES, opened, resolve
from longshore.errors import ConfigurationError
from longshore.registry import MODEL_FILE, Registry

TAG = "longshore.version"
LONGEST = 500
"""Characters of a parameter that every MLflow store takes."""


@click.command("export-mlflow")
@click.argument("version")
@click.option("--to", "uri", default="sqlite:///mlflow.db", show_default=True, help="MLflow's tracking URI.")
@click.option("--name", help="Experiment and registered model [longshore-<model>].")
@output_option
@pass_app
def export(app: App, version: str, uri: str, name: str | None, output: str) -> None:
    """Log a version's parameters, metrics and files to MLflow, and register its ONNX model there.

    It gets the aliases it has here at this moment. Needs the extra `mlflow`.
    """
    registry = opened(app)
    version, _ = resolve(registry, version)
    name = name or f"longshore-{registry.model}"
    done = _export(registry, version, uri, name)
    if output == "json":
        print_json(done)
    else:
        click.echo(f"{version} is version {done['registered']} of {name} in {uri}, run {done['run_id']}")


def _export(registry: Registry, version: str, uri: str, name: str) -> dict[str, Any]:
    try:
        import mlflow  # noqa: PLC0415  (an extra)
        import mlflow.onnx  # noqa: PLC0415
        import onnx  # noqa: PLC0415  (with MLflow alone: `model --help` answers at once)
    except ImportError as error:
        raise ConfigurationError("MLflow is not installed", mend="install longshore[mlflow]") from error
    files = {file: registry.read(version, file) for file in registry.manifest(version)["files"]}
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    client = mlflow.MlflowClient()
    experiment = mlflow.set_experiment(name)
    known = client.search_runs([experiment.experiment_id], f"tags.`{TAG}` = '{version}'")
    finished = [run for run in known if run.info.status == "FINISHED"]
    if finished:
        run_id = finished[0].info.run_id
    else:
        with mlflow.start_run(run_name=version, tags={TAG: version}) as run:
            run_id = run.info.run_id
            _log(mlflow, registry.manifest(version), files)
            model = onnx.load_from_string(files[MODEL_FILE])
            mlflow.onnx.log_model(model, name="model", registered_model_name=name)
    (registered,) = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    for alias in ALIASES:
        record = registry.alias(alias)
        if record is not None and record.version == version:
            client.set_registered_model_alias(name, alias, registered.version)
    return {"version": version, "run_id": run_id, "name": name, "registered": int(registered.version)}


def _log(mlflow: Any, manifest: dict[str, Any], files: dict[str, bytes]) -> None:
    """Numbers under `metrics` as metrics, every other leaf as a parameter, all files as artefacts."""
    mlflow.log_metrics(metrics_of(manifest))
    mlflow.log_params({_named(key): value[:LONGEST] for key, value in parameters_of(manifest).items()})
    mlflow.log_dict(manifest, "manifest.json")
    with tempfile.TemporaryDirectory() as folder:
        for file, data in files.items():
            Path(folder, file).write_bytes(data)
        mlflow.log_artifacts(folder, "files")


def _named(key: str) -> str:
    """A parameter's name of the characters that MLflow takes."""
    return "".join(letter if letter.isalnum() or letter in "_-. :/" else "_" for letter in key)[:250]
