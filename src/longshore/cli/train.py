"""`longshore train`: a batch run on a file, the stream or generated rows; with `--follow`, requests until stopped."""

from __future__ import annotations

import math
import os
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec
import structlog
from rich.console import Console
from rich.table import Table

from longshore import telemetry
from longshore.cli.app import App, output_option, pass_app, print_json, projector_for
from longshore.cli.training_data import Intake
from longshore.cli.when import moment
from longshore.errors import ConfigurationError
from longshore.instance import instance_id
from longshore.kafka.admin import create_topics
from longshore.kafka.exactly_once import ExactlyOnce
from longshore.kafka.writer import Writer
from longshore.key_files import Trust, signer
from longshore.monitor.ageing import AGE
from longshore.records import RetrainRequest
from longshore.registry import Registry
from longshore.registry.formats import check_name
from longshore.service import configure_logs, running
from longshore.slots import SCHEDULES
from longshore.trainer.dataset_stream import StreamDataset
from longshore.trainer.making import Report
from longshore.trainer.run import Outcome, Trainer
from longshore.trainer.schedule import CAUSE, Scheduler
from longshore.trainer.service import Follower
from longshore.trainer.training import STAGES
from longshore.trainer.training_set import TrainingSet

log = structlog.get_logger()


@click.command("train")
@click.option("--data", type=click.Path(path_type=Path), help="CSV with the features and the target.")
@click.option("--from", "origin", type=click.Choice(["stream"]), help="Train on the stream's labelled records.")
@click.option("--cut", callback=moment, help="With --from: leave out what came or was observed after that time [now].")
@click.option("--dataset", help="Train again on a stored version (`longshore dataset list`).")
@click.option("--rows", type=click.IntRange(min=1), default=20_000, show_default=True, help="Rows to generate.")
@click.option("--seed", type=int, help="Seed of the model and of generated rows [trainer.seed].")
@click.option("--quick", is_flag=True, help="One setting of boosted trees instead of a search [trainer.search].")
@click.option("--trigger-id", help="Name of this run: the same name again resumes it [a new one].")
@click.option("--follow", is_flag=True, help="Serve retraining requests until SIGTERM.")
@click.option(
    "--label-wait", type=float, default=600.0, show_default=True, help="With --follow: seconds to wait for labels."
)
@click.option("--instance", help="With --follow: stable name of this replica [host + slot].")
@click.option("--schedule", type=click.Choice(SCHEDULES), help="With --follow: retrain by the calendar, too [never].")
@output_option
@pass_app
def train(
    app: App,
    *,
    data: Path | None,
    origin: str | None,
    cut: int | None,
    dataset: str | None,
    rows: int,
    seed: int | None,
    quick: bool,
    trigger_id: str | None,
    follow: bool,
    label_wait: float,
    instance: str | None,
    schedule: str | None,
    output: str,
) -> None:
    """Train a model, judge it against the champion on rows neither has seen, and promote it if it passes.

    Rows come from --data, else the setting `data`, else the cached housing.csv, else the generator. They are checked
    and stored first (`longshore dataset`). Exits 0 when the run finished, also if the new version was rejected.
    """
    if seed is not None and not 0 <= seed < 2**32:
        raise ConfigurationError(f"--seed {seed} is out of range", mend="choose one from 0 to 4294967295")
    if not 0 <= label_wait < math.inf:
        raise ConfigurationError(f"--label-wait {label_wait:g} is no time to wait", mend="give seconds, from 0 on")
    app = _asked(app, seed, quick=quick, follow=follow)
    if sum(map(bool, (data, origin, dataset, follow))) > 1 or (follow and trigger_id):
        raise click.UsageError(
            "--data, --from, --dataset and --follow exclude one another, and --follow takes no --trigger-id"
        )
    if cut is not None and not origin:
        raise click.UsageError("--cut goes with --from stream")
    if schedule and not follow:
        raise click.UsageError("--schedule goes with --follow: whoever serves requests also asks for these")
    if trigger_id:
        check_name(trigger_id, "--trigger-id")
    if follow:
        _follow(app, instance, label_wait, schedule)
        return
    configure_logs()  # to stderr: structlog's own default is stdout
    trigger_id = trigger_id or f"train-{uuid.uuid4().hex[:12]}"
    registry = Registry.open(app.settings.registry(), app.settings.model)
    intake = Intake(app, registry, trigger_id)
    if dataset:
        taken = partial(intake.from_version, dataset)
    else:
        taken = partial(intake.from_stream, cut) if origin else partial(intake.from_file, data, rows)
    outcome = _run_once(app, registry, trigger_id, taken)
    if not (app.settings.redis_url or app.settings.bootstrap_servers):
        click.echo("Redis and Kafka are not set: a running scorer or trainer will copy the model there", err=True)
    _print(outcome, output)


def _run_once(app: App, registry: Registry, trigger_id: str, taken: Callable[[], TrainingSet]) -> Outcome:
    with _progress() as report:
        runner = _trainer(app, registry, "train", report, projector_for(app, registry).tick)
        return runner.run(trigger_id, taken, reason="batch training")


def _asked(app: App, seed: int | None, *, quick: bool, follow: bool) -> App:
    """The settings with what the options say; a request is answered quickly, a batch run searches."""
    given = app.settings.trainer
    search = "quick" if quick else given.search
    if search == "auto":
        search = "quick" if follow else "full"
    trainer = given.model_copy(update={"search": search, "seed": given.seed if seed is None else seed})
    return App(app.settings.model_copy(update={"trainer": trainer}))


def _trainer(app: App, registry: Registry, actor: str, report: Report, project: Callable[[], object]) -> Trainer:
    from longshore.monitor.reference import build_profile  # noqa: PLC0415  (`train --help` needs no monitor)

    return Trainer(
        settings=app.settings,
        registry=registry,
        build_profile=lambda frame, nominal, labels: build_profile(
            frame, nominal, app.schema.derived, app.schema.place, labels, with_rows=app.settings.monitor.joint
        ),
        project=project,
        actor=actor,
        report=report,
        signer=signer(app.settings),
        trusted=Trust(app.settings).keyring,
    )


def _follow(app: App, instance: str | None, label_wait_s: float, schedule: str | None) -> None:
    settings = app.settings
    os.nice(settings.trainer.niceness)
    with running("trainer", settings) as runtime:
        name = instance or instance_id(settings, "trainer")
        create_topics(settings, app.topics.specs(settings))
        registry = Registry.open(settings.registry(), settings.model)
        projector = projector_for(app, registry)
        dataset = StreamDataset(settings, app.schema)

        def work(request: RetrainRequest, check: Callable[[], None]) -> Outcome:
            def report(stage: str, figures: dict[str, Any]) -> None:
                _report_stage(stage, figures)
                check()

            runner = _trainer(app, registry, f"trainer {name}", report, projector.tick)
            try:
                intake = Intake(app, registry, request.trigger_id)
                taken = partial(intake.for_request, dataset, request, check, label_wait_s)
                return runner.run(request.trigger_id, taken, reason=_why(request))
            finally:
                _mark(None)

        follower = Follower(settings, registry, work, owner=name)
        threading.Thread(target=projector.follow, args=(runtime.stop,), name="projector", daemon=True).start()
        if schedule:
            scheduler = Scheduler(registry, schedule, partial(_send, app), time.time)
            threading.Thread(target=scheduler.follow, args=(runtime.stop,), name="schedule", daemon=True).start()
        stream = ExactlyOnce(
            settings,
            group=settings.topic_prefix + settings.trainer.group,
            instance=name,
            topics=[app.topics.requests],
            stop=runtime.stop,
            on_revoked=follower.drop,
            on_lost=follower.drop,
        )
        try:
            follower.serve(stream, runtime)
        finally:
            stream.close()


def _why(request: RetrainRequest) -> str:
    if request.cause == CAUSE:
        return f"by schedule, {request.episode}"
    if request.cause == AGE:
        return f"by the model's age, {request.episode}"
    return f"{request.cause} drift, episode {request.episode}, attempt {request.attempt}"


def _send(app: App, request: RetrainRequest) -> None:
    with Writer(app.settings) as writer:
        writer.send(app.topics.requests, app.settings.model.encode(), msgspec.json.encode(request))


def _report_stage(stage: str, figures: dict[str, Any]) -> None:
    _mark(stage)
    log.info("training", stage=stage, **figures)


def _mark(stage: str | None) -> None:
    for name in STAGES:
        telemetry.TRAINING_STAGE.labels(name).set(name == stage)


class _progress:  # noqa: N801  (a context manager used as a function)
    """Stages as a spinner on a terminal, as lines otherwise; on stderr, stdout belongs to the result."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._status = self._console.status("training") if self._console.is_terminal else None

    def __enter__(self) -> Report:
        if self._status:
            self._status.start()
        return self._report

    def __exit__(self, *error: object) -> None:
        if self._status:
            self._status.stop()

    def _report(self, stage: str, figures: dict[str, Any]) -> None:
        _mark(stage)
        number = f"{STAGES.index(stage) + 1}/{len(STAGES)}"
        shown = "  ".join(f"{name} {_figure(value)}" for name, value in figures.items() if name != "reason")
        self._console.print(f"[{number}] {stage:<9} {shown}".rstrip(), markup=False)
        if self._status:
            self._status.update(f"training: {stage}")


def _figure(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _print(outcome: Outcome, output: str) -> None:
    found = {
        "version": outcome.version,
        "promoted": outcome.status == "promoted",
        "reason": outcome.reason,
        "metrics": outcome.metrics,
    }
    if output == "json":
        print_json(found)
        return
    table = Table(show_header=False, box=None)
    table.add_row("version", outcome.version or "")
    table.add_row("outcome", outcome.status)
    table.add_row("reason", outcome.reason)
    for name, value in (outcome.metrics or {}).items():
        if not isinstance(value, dict):  # the bootstrap's figures are in the manifest
            table.add_row(name, " … ".join(map(_figure, value)) if isinstance(value, list) else _figure(value))
    Console().print(table)
