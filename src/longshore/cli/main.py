"""`longshore`: the commands, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click
from pydantic import SecretStr

from longshore.cli.app import App
from longshore.config import Settings, load
from longshore.errors import EXIT_FAILED, EXIT_USAGE, LongshoreError

COMMANDS = {
    "alerts": "longshore.cli.alerts:alerts",
    "config": "longshore.cli.config:config",
    "data": "longshore.cli.data:data",
    "dataset": "longshore.cli.dataset:dataset",
    "demo": "longshore.cli.demo.command:demo",
    "dlq": "longshore.cli.dlq:dlq",
    "doctor": "longshore.cli.doctor:doctor",
    "drift": "longshore.cli.drift:drift",
    "local": "longshore.cli.local:local",
    "model": "longshore.cli.model:model",
    "monitor": "longshore.cli.monitor:monitor",
    "produce": "longshore.cli.produce:produce",
    "score": "longshore.cli.score:score",
    "serve": "longshore.cli.serve:serve",
    "topics": "longshore.cli.topics:topics",
    "trace": "longshore.cli.trace:trace",
    "train": "longshore.cli.train:train",
}
"""Each command's place; imported when it is used, so that `--help` answers at once."""

HELP = {
    "alerts": "Who is told of drift: try it out.",
    "config": "Show or check the settings.",
    "data": "Fetch, generate or explore training data.",
    "dataset": "Versions of training sets: list, show, diff, verify, restore.",
    "demo": "The whole loop on embedded Kafka and Redis, with a checked summary.",
    "dlq": "Dead letters: list, show, mend and replay.",
    "doctor": "Check everything a service needs before it starts.",
    "drift": "Compare two files, or watch the stream's drift.",
    "local": "Embedded Kafka and Redis: up, down, status.",
    "model": "The registry: list, show, diff, promote, rollback, history, verify, gc, backup, restore.",
    "monitor": "Count predictions, decide on drift, tell of it (a service).",
    "produce": "Put records and labels on topics (a service).",
    "score": "Score records exactly once (a service).",
    "serve": "Answer single requests over HTTP, and a page for people (a service).",
    "topics": "Create the topics.",
    "trace": "What became of one record, and why: prediction, model, training, drift.",
    "train": "Train, judge and promote a model; --follow serves requests (a service).",
}


class LazyGroup(click.Group):
    """Imports a command only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in alphabetical order."""
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, None where there is none."""
        del ctx
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, name = place.split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(sorted(HELP.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="Settings file [./longshore.toml if there]."
)
@click.option("--home", type=click.Path(path_type=Path), help="Folder for local data [.longshore].")
@click.version_option(package_name="longshore", prog_name="longshore")
@click.pass_context
def cli(ctx: click.Context, config_file: Path | None, home: Path | None) -> None:
    """Score Kafka streams exactly once, watch them for drift, retrain, gate and swap the model.

    Begin with `longshore demo`. Every setting can be given in longshore.toml or as LONGSHORE_<KEY> in the environment;
    `longshore config show` lists them all.
    """
    if ctx.resilient_parsing or "--help" in sys.argv or "-h" in sys.argv:
        return
    from longshore.service import configure_logs  # noqa: PLC0415  (--help needs none of it)

    configure_logs()  # to stderr: stdout belongs to a command's answer
    settings = load(config_file, {"home": home})
    if ctx.invoked_subcommand not in ("local", "demo", "config"):
        settings = _with_local_stack(settings)
    ctx.obj = App(settings)


def _with_local_stack(settings: Settings) -> Settings:
    """Fill in the addresses of a running local stack where none are set."""
    if settings.bootstrap_servers and settings.redis_url:
        return settings
    from longshore.local.stack import find_running  # noqa: PLC0415  (psutil and more, for this case only)

    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
    running = find_running(settings.home, bootstrap_servers=settings.bootstrap_servers, redis_url=redis_url)
    if running is None:
        return settings
    return settings.model_copy(
        update={
            "bootstrap_servers": settings.bootstrap_servers or running.bootstrap_servers,
            "redis_url": settings.redis_url or SecretStr(running.redis_url),
        }
    )


def main() -> None:
    """Entry point. Exit: 0 done, 1 failed, 2 usage or configuration."""
    try:
        code = cli.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Abort:
        click.echo("longshore: interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_USAGE if isinstance(error, click.UsageError) else EXIT_FAILED)
    except LongshoreError as error:
        click.echo(f"longshore: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        click.echo("longshore: interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(EXIT_FAILED)


if __name__ == "__main__":
    main()
