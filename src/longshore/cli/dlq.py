"""`longshore dlq`: what is on the dead-letter topic, and replaying it, mended or as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import click

from longshore.cli.app import App, F, output_option, pass_app
from longshore.cli.dead_letter_view import ListView, ReplayView, print_letter
from longshore.cli.when import moment
from longshore.dead_letters import Filter, Patch, Planner
from longshore.errors import EXIT_FAILED, ConfigurationError
from longshore.kafka.admin import end_offsets
from longshore.kafka.dead_letters import read_journal, read_letters, read_one
from longshore.kafka.replay import Replayer, Result, replay, would_replay
from longshore.producers.progress import shown


def _place(text: str) -> tuple[int, int]:
    partition, slash, offset = text.rpartition("/")
    if not (slash and partition.isascii() and partition.isdigit() and offset.isascii() and offset.isdigit()):
        raise click.BadParameter(f"{text!r} is not PARTITION/OFFSET, such as 0/17")
    return int(partition), int(offset)


def one_place(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[int, int]:
    """An argument's callback: PARTITION/OFFSET as two numbers."""
    return _place(value)


def places(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> dict[int, int]:
    """An option's callback: an offset for each partition that was named."""
    return dict(_place(value) for value in values)


def filter_options(command: F) -> F:
    """Options that say which dead letters are meant."""
    options = [
        click.option("--reason", "reasons", multiple=True, help="Class of the failure, such as NotJson. Repeatable."),
        click.option("--since", callback=moment, help="Records sent then or later: 2026-05-01T12:00Z, or 2h (ago)."),
        click.option("--until", callback=moment, help="Records sent before then."),
        click.option("--key", help="The record's key, as text."),
        click.option("--partition", type=click.IntRange(0), help="Partition the record came from."),
        click.option("--offset", type=click.IntRange(0), help="Offset the record came from."),
        click.option(
            "--from-offset",
            "starts",
            callback=places,
            multiple=True,
            metavar="PARTITION/OFFSET",
            help="Where to begin on the dead-letter topic. Repeatable.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _filter(given: dict[str, Any]) -> tuple[Filter, dict[int, int]]:
    chosen = Filter(
        reasons=frozenset(given["reasons"]),
        since_ms=given["since"],
        until_ms=given["until"],
        key=None if given["key"] is None else given["key"].encode(),
        partition=given["partition"],
        offset=given["offset"],
    )
    starts: dict[int, int] = given["starts"]
    return chosen, starts


@click.group("dlq")
def dlq() -> None:
    """Dead letters: records that could not be scored, with the reason."""


@dlq.command("list")
@filter_options
@click.option("--limit", type=click.IntRange(0), default=100, show_default=True, help="Rows to show; 0: all.")
@output_option
@pass_app
def list_letters(app: App, /, *, limit: int, output: str, **given: Any) -> None:
    """Dead letters, and how many there are of each reason.

    Times are those of the original records. The counts are over all that match, whatever --limit says.
    """
    chosen, starts = _filter(given)
    journal = read_journal(app.settings, app.topics)
    view = ListView(journal, limit=limit or None, as_json=output == "json")
    for batch in read_letters(app.settings, app.topics, since_ms=chosen.since_ms, from_offsets=starts):
        for letter in batch:
            if chosen.matches(letter):
                view.add(letter)
    view.end()


@dlq.command("show")
@click.argument("place", callback=one_place, metavar="PARTITION/OFFSET")
@output_option
@pass_app
def show(app: App, place: tuple[int, int], output: str) -> None:
    """One dead letter with all its headers and its whole value. PARTITION/OFFSET: the first column of `dlq list`."""
    letter = read_one(app.settings, app.topics, *place)
    print_letter(letter, read_journal(app.settings, app.topics), as_json=output == "json")


@dlq.command("replay")
@filter_options
@click.option("--all", "everything", is_flag=True, help="Replay all of them; needed where no filter is given.")
@click.option("--patch", metavar="FILE|JSON", help="JSON patch (RFC 6902) that mends each value: a file, or [...].")
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@click.option("--limit", type=click.IntRange(1), help="Replay this many at most.")
@click.option(
    "--max-attempts",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Leave a record alone that was replayed this often.",
)
@click.option(
    "--batch", type=click.IntRange(1, 10_000), default=500, show_default=True, help="Records in one transaction."
)
@output_option
@click.pass_context
def replay_letters(ctx: click.Context, /, *, output: str, **given: Any) -> None:
    """Write dead letters to their original topic again, each once, as new records with a replay-of header.

    Only one replay runs at a time: a second one ends the first, which can be started again. Exits 1 where one that was
    meant stays unreplayed (its patch does not apply, its attempts are used up, its headers do not tell its origin).
    """
    app: App = ctx.obj
    chosen, starts = _filter(given)
    if chosen.empty and not starts and not given["everything"]:
        raise click.UsageError("say which dead letters: give a filter, or --all")
    patch = None if given["patch"] is None else Patch(_patch_text(given["patch"]))
    # In this order: a letter that comes in between is left to the next replay, not taken for one without a record.
    found = read_letters(app.settings, app.topics, since_ms=chosen.since_ms, from_offsets=starts)
    planner = Planner(end_offsets(app.settings, app.topics.records), given["max_attempts"], patch)
    view = ReplayView(as_json=output == "json", dry_run=given["dry_run"])
    with shown("dead letters read", None, "records") as advance:
        letters = _counted(found, advance)
        run = partial(replay, letters, chosen, limit=given["limit"], batch_records=given["batch"])
        if given["dry_run"]:
            journal = read_journal(app.settings, app.topics)
            _show(run(lambda letter: planner.plan(letter, journal), would_replay(journal)), view)
        else:
            with Replayer(app.settings, app.topics) as replayer:
                _show(run(lambda letter: planner.plan(letter, replayer.journal), replayer.commit), view)
    view.end()
    if view.failed:
        ctx.exit(EXIT_FAILED)


def _show(results: Iterable[Result], view: ReplayView) -> None:
    for result in results:
        view.add(result)


def _counted(batches: Iterable[list[Any]], advance: Callable[[int], None]) -> Iterable[list[Any]]:
    for batch in batches:
        advance(len(batch))
        yield batch


def _patch_text(given: str) -> str:
    if given.lstrip().startswith(("[", "{")):
        return given
    try:
        return Path(given).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigurationError(f"--patch {given}: {reason}", mend="name a readable file, or give [...]") from error
