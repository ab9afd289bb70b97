"""`longshore alerts test`: whether everybody who is to be told of drift can be."""

from __future__ import annotations

import time
from functools import partial

import click

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.errors import EXIT_FAILED, ConfigurationError
from longshore.monitor.alerts.configured import targets_of
from longshore.monitor.alerts.notice import TEST, Notice
from longshore.monitor.alerts.post import post
from longshore.monitor.alerts.tries import Outcome
from longshore.records import FINAL, DriftEvent, Source, Window


@click.group("alerts")
def alerts() -> None:
    """Who is told of the monitor's state changes: webhooks, Alertmanagers, the log (docs/alerts.md).

    \b
    longshore alerts test             a signed message to each, and what it answers
    longshore monitor --role notify   tell them (in --role all, too, where a receiver is set)
    """


@alerts.command("test")
@click.option("--target", "names", multiple=True, metavar="NAME", help="Only this one, as webhook.pager. Repeatable.")
@output_option
@click.pass_context
@pass_app
def test(app: App, ctx: click.Context, names: tuple[str, ...], output: str) -> None:
    """Send a message of kind `test` to every target, once; exit 1 if any does not accept it."""
    settings = app.settings.alerts
    targets = {target.name: target for target in targets_of(settings)}
    if unknown := set(names) - set(targets):
        raise ConfigurationError(
            f"--target {', '.join(sorted(unknown))} is not configured", mend=f"choose from {', '.join(targets)}"
        )
    notice = _notice(app)
    rows = []
    for name in names or targets:
        answer = targets[name].deliver(notice, time.time(), partial(post, timeout_s=settings.timeout_s))
        rows.append({"target": name, "outcome": answer.outcome.value, "status": answer.status, "said": answer.said})
    if output == "json":
        print_json(rows)
    else:
        for row in rows:
            status = f"{row['status']} " if row["status"] else ""
            click.echo(f"{row['outcome']:9} {row['target']:24} {status}{row['said']}".rstrip())
    ctx.exit(0 if all(row["outcome"] == Outcome.DELIVERED for row in rows) else EXIT_FAILED)


def _notice(app: App) -> Notice:
    """A state change that is none. Its place is the time: two tests are two messages."""
    now_ms = int(time.time() * 1_000)
    event = DriftEvent(
        kind=TEST,
        cause="",
        stream_set=app.schema.name,
        model_version="",
        generation=0,
        window=Window(now_ms, now_ms, 0),
        window_index=-1,
        status=FINAL,
        state="ok",
        episode="",
        p_value=1.0,
        thresholds={},
        streams=[],
    )
    return Notice(event, Source("test", 0, now_ms), now_ms, app.settings.model, app.settings.alerts.runbooks)
