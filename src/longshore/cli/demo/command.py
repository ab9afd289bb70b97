"""`longshore demo`: the order of the story. Everything it starts dies with it, however it ends."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from longshore.cli.app import App, pass_app
from longshore.cli.demo import plan as plans
from longshore.cli.demo.plan import Plan
from longshore.cli.demo.processes import Services
from longshore.cli.demo.verify import checks, read_back, records_per_s
from longshore.cli.demo.view import View
from longshore.cli.demo.watch import Story, Watch
from longshore.config import Settings
from longshore.errors import EXIT_FAILED, ConfigurationError, UnavailableError
from longshore.kafka.admin import create_topics
from longshore.local.stack import Endpoints, LocalStack
from longshore.producers import scenarios
from longshore.schema import districts
from longshore.topics import Topics

POLL_S = 0.2
RECOVERY_RECORDS = 4_000
"""Records the new version must have scored before the stream ends."""

RECOVERY_VERDICTS = 2
SILENCE_S = 120.0
"""Nothing new for this long ends the run: its checks then tell what is missing."""


@click.command("demo")
@click.option(
    "--data", type=click.Path(path_type=Path), help="housing.csv: half trains, half streams [generated rows]."
)
@click.option(
    "--records", type=click.IntRange(10_000), default=20_000, show_default=True, help="Records to stream at least."
)
@click.option("--rate", type=click.FloatRange(100), default=1_000.0, show_default=True, help="Records a second.")
@click.option(
    "--scenario", default="income-inflation:factor=1.25", show_default=True, help="What moves after 40 %; or none."
)
@click.option("--seed", type=click.IntRange(0, 2**31), default=42, show_default=True, help="Seed of data and stream.")
@click.option("--keep", is_flag=True, help="Keep the folder with data, registry and logs.")
@pass_app
def demo(app: App, *, data: Path | None, records: int, rate: float, scenario: str, seed: int, keep: bool) -> None:
    """Run the whole loop on embedded Kafka and Redis and check it.

    A model is trained; records stream and are scored by two scorers; at a known record the data shifts; the monitor
    raises an alarm and asks for a retraining; the new model passes the gate and is swapped in while the stream goes on.
    At the end an independent reader checks that nothing was lost or doubled. Exit 0 only if every check held.
    """
    if scenario != "none":
        scenarios.parse(scenario)
    if data is not None and not data.is_file():
        raise ConfigurationError(f"--data {data}: no such file", mend="name a CSV file with the columns of housing.csv")
    signal.signal(signal.SIGTERM, _interrupt)
    folder = _folder(app.settings.home)
    try:
        with ExitStack() as held:
            sys.exit(_run(held, folder, data=data, records=records, rate=rate, seed=seed, scenario=scenario))
    finally:
        if keep:
            click.echo(f"kept: {folder}", err=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _interrupt(_number: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _folder(home: Path) -> Path:
    try:
        home.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="demo-", dir=home)).absolute()
    except OSError as error:
        raise ConfigurationError(
            f"home = {home}: {error.strerror}", mend="name a writable folder with LONGSHORE_HOME"
        ) from error


def _run(held: ExitStack, folder: Path, **chosen: Any) -> int:
    started = time.monotonic()
    console = Console(soft_wrap=True)
    schema = districts()
    plan = plans.make(folder, schema, **chosen)
    view = View(console, plan)
    view.say("starting Kafka and Redis")
    endpoints = held.enter_context(LocalStack(folder, ephemeral=True, say=view.say))
    services = held.enter_context(Services(folder / "logs", _environment(folder, endpoints)))
    settings = Settings()
    topics = Topics.of(settings.topic_prefix, schema)
    create_topics(settings, topics.specs(settings))
    watch = Watch(settings, topics, view.news)
    held.callback(watch.close)
    with view:
        _start(services, view, plan, settings)
        _stream(services, view, watch, plan)
        _end(services, view, watch)
    watch.close()
    return _summary(view, plan, settings, watch.story, seconds=time.monotonic() - started)


def _environment(folder: Path, endpoints: Endpoints) -> dict[str, str]:
    return {
        "LONGSHORE_HOME": str(folder),
        "LONGSHORE_BOOTSTRAP_SERVERS": endpoints.bootstrap_servers,
        "LONGSHORE_REDIS_URL": endpoints.redis_url,
    }


def _start(services: Services, view: View, plan: Plan, settings: Settings) -> None:
    """Train the first model; the other services come up meanwhile."""
    seed = str(settings.trainer.seed)
    services.start("train", "train", "--quick", "--data", str(plan.training_file), "--seed", seed, "--output", "json")
    services.start("scorer-0", "score", "--instance", "demo-0")
    services.start("scorer-1", "score", "--instance", "demo-1")
    services.start("monitor", "monitor", "--instance", "demo")
    stages = _Stages(services.log("train"), view)
    while services.ended("train") is None:
        stages.tell()
        services.check("train")
        time.sleep(POLL_S)
    stages.tell()
    services.check("train")
    services.stop("train")
    services.start("trainer", "train", "--follow", "--instance", "demo")


def _stream(services: Services, view: View, watch: Watch, plan: Plan) -> None:
    """Produce until the loop has closed (or, where nothing is expected, until `records`)."""
    story = watch.story
    most = plan.records * plans.MOST if plan.expects_alarm else plan.records
    source = ["--data", str(plan.stream_file), "--shuffle", "--loop"] if plan.stream_file else ["--generated"]
    services.start(
        "producer", "produce", *source, "--count", str(most), "--rate", str(plan.rate), "--seed", str(plan.seed),
        "--scenario", plan.scenario_argument(), "--malformed", "0.0005", "--label-delay", "500",
        "--event-start", str(plan.start_ms), "--event-step-ms", str(plans.STEP_MS),
    )  # fmt: skip
    stages = _Stages(services.log("trainer"), view)
    news = _Progress(story)
    while not (story.produced >= plan.records and (_closed(story) or not plan.expects_alarm)):
        services.check("producer")
        stages.tell()
        view.show(story, _phase(story, plan))
        if services.ended("producer") is not None or news.silent_for(SILENCE_S) or story.trouble:
            break
        time.sleep(POLL_S)
    services.stop("producer")


def _closed(story: Story) -> bool:
    """The new version has scored a good while, and windows of it were judged."""
    if not story.resolved:
        return False
    champion = story.champion
    return story.scored[champion] >= RECOVERY_RECORDS and story.verdicts_by_version[champion] >= RECOVERY_VERDICTS


def _end(services: Services, view: View, watch: Watch) -> None:
    """Let the scorers finish what was produced, then stop everything as its user would."""
    story = watch.story
    view.say("the stream has ended; waiting for the scorers")
    news = _Progress(story)
    while sum(story.scored.values()) + story.dead_letters < story.produced or not news.silent_for(1.0):
        services.check()
        if news.silent_for(SILENCE_S):
            break
        time.sleep(POLL_S)
    for name in ("monitor", "trainer", "scorer-0", "scorer-1"):
        code = services.stop(name)
        if code not in (0, None):
            raise UnavailableError(f"{name} ended with exit {code} on SIGTERM", mend=f"see {services.log(name)}")


def _phase(story: Story, plan: Plan) -> str:
    if story.resolved:
        return "recovered"
    if story.requests:
        return "retraining"
    if story.alerts:
        return "alarm"
    return "shifted" if story.produced > plan.onset and plan.scenario_name != "none" else "stable"


class _Progress:
    """How long nothing has been produced or scored."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._seen = -1
        self._since = time.monotonic()

    def silent_for(self, seconds: float) -> bool:
        """Whether the counts have stood still for so long."""
        seen = self._story.produced + self._story.dead_letters + sum(self._story.scored.values())
        if seen != self._seen:
            self._seen, self._since = seen, time.monotonic()
        return time.monotonic() - self._since >= seconds


class _Stages:
    """Reads the stages of a training from its log as they are written."""

    def __init__(self, log: Path, view: View) -> None:
        self._log = log
        self._view = view
        self._read = 0

    def tell(self) -> None:
        """Show the stages that are new."""
        if not self._log.exists():
            return
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        complete = [line for line in lines if line.endswith("\n")]
        for line in complete[self._read :]:
            self._tell_line(line)
        self._read = len(complete)

    def _tell_line(self, line: str) -> None:
        if line.startswith("[") and "/" in line[:4]:
            self._view.say(f"trainer: {' '.join(line.split()[1:])}")
            return
        try:
            entry = json.loads(line)
        except ValueError:
            return
        if isinstance(entry, dict) and "stage" in entry:
            hidden = ("stage", "event", "level", "timestamp", "reason")
            self._view.stage(entry["stage"], {key: value for key, value in entry.items() if key not in hidden})


def _summary(view: View, plan: Plan, settings: Settings, story: Story, *, seconds: float) -> int:
    console = view.console
    view.say("reading everything back as an independent read_committed consumer")
    read = read_back(settings, Topics.of(settings.topic_prefix, districts()))
    found = checks(plan, settings, read)
    console.print()
    for check in found:
        console.print(f"  {'ok  ' if check.held else 'FAIL'}  {check.name}: {check.found}", highlight=False)
    versions = ", ".join(f"{version} {count:,}" for version, count in sorted(story.scored.items()))
    rates = f"{records_per_s(read):,.0f} records/s scored on average, asked for {plan.rate:,.0f}"
    console.print(f"        scored by version: {versions}; {rates}", highlight=False)
    console.print(f"        seed {plan.seed}; {seconds:.0f} s in all", highlight=False)
    if story.trouble:
        console.print(f"  FAIL  watching the topics: {story.trouble}", highlight=False)
    good = all(check.held for check in found) and not story.trouble
    console.print("\nevery check held" if good else "\na check failed; run again with --keep and look at the logs")
    return 0 if good else EXIT_FAILED
