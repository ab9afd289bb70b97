"""`longshore drift explain`: one episode of drift, from when it began to what was done about it."""

from __future__ import annotations

from contextlib import suppress

import click

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.cli.drift_events import ProfileReader, nothing_yet, read_events
from longshore.cli.drift_story import Told, lines
from longshore.cli.drift_table import terminal
from longshore.errors import ConfigurationError, LongshoreError
from longshore.monitor.pages.pictures import pictures_of
from longshore.monitor.pages.story import Stories, Story, by_prefix
from longshore.registry import Registry

LISTED = 8
"""Episodes named where none fits."""


@click.command("explain")
@click.argument("episode")
@output_option
@pass_app
def explain(app: App, episode: str, output: str) -> None:
    """Tell one EPISODE of drift: its id, the beginning of it, or `last` for the latest.

    \b
    longshore drift explain last
    longshore drift explain e09cca

    When it began and why; which streams moved, most moved first, with their distances at the alert and now beside what
    is usual; the range of values that moved; how strong the evidence was at each scale; and what was done: requests,
    labels, retraining, the end. `longshore drift report` lists the episodes.
    """
    stories = Stories()
    for told in read_events(app):
        stories.add(told)
    story = _the_one(app, list(stories.found.values()), episode)
    with suppress(LongshoreError):  # the events tell the story without the registry
        story.add_outcomes(Registry.open(app.settings.registry(), app.settings.model).events())
    told_story = gathered(app, story)
    if output == "json":
        print_json(told_story.to_dict())
        return
    console = terminal()
    for line in lines(told_story):
        console.print(line)


def _the_one(app: App, stories: list[Story], given: str) -> Story:
    if not stories:
        raise nothing_yet(app, "no episode of drift")
    fitting = by_prefix(stories, given) if given else []
    if len(fitting) == 1:
        return fitting[0]
    known = ", ".join(story.id for story in stories[-LISTED:])
    more = f" and {len(stories) - LISTED} older" if len(stories) > LISTED else ""
    what = f"episode {given!r} is not known" if not fitting else f"episode {given!r} is {len(fitting)} episodes"
    raise ConfigurationError(what, mend=f"give one of {known}{more}, or last")


def gathered(app: App, story: Story) -> Told:
    """The episode with what the registry's profile adds to it."""
    profile = ProfileReader(app)(story.version)
    found = {}
    for event in (story.last, story.alert):  # the alert's own picture goes before a later verdict's
        for name, picture in (pictures_of(event) if event else {}).items():
            drawn = picture.drawn(profile, name)
            if drawn is not None:
                found[name] = drawn
    return Told(story, profile, found)
