"""One report made: a range's events and what the registry adds, as a page and as plain values."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from longshore.cli.app import App
from longshore.cli.drift_events import ProfileReader
from longshore.cli.drift_past import PastEvents, Range
from longshore.errors import LongshoreError
from longshore.monitor.pages.of_events import EventsPage
from longshore.monitor.pages.page import html
from longshore.monitor.pages.style import CSS
from longshore.pages import document
from longshore.pages.wording import time_text
from longshore.registry import Registry


@dataclass(frozen=True, slots=True)
class Made:
    """A report; `judged`: whether the range holds any verdict. `missing`: what retention has cut, in a sentence."""

    html: str
    sentence: str
    values: dict[str, Any]
    judged: bool
    missing: str


def range_text(given: Range) -> str:
    """A range in words."""
    since = f"from {time_text(given.since)}" if given.since is not None else "from the beginning"
    return f"{since} {f'to {time_text(given.until)}' if given.until is not None else 'until now'} (event time)"


def make(app: App, given: Range, *, now_ms: int, alive: Callable[[], None] = lambda: None) -> Made:
    """Read the range's events and make its page; `alive` is called now and then, and may raise to stop.

    Raises:
        UnavailableError: no broker answers.
        FormatError: what stands on the topic is no drift event.

    """
    past, gathered = PastEvents(app, given), EventsPage()
    for told in past:
        alive()
        gathered.add(told)
    with suppress(LongshoreError):  # the events tell what happened without the registry
        gathered.outcomes(Registry.open(app.settings.registry(), app.settings.model).events())
    missing = past.missing
    values = {"range": {"since": given.since, "until": given.until, "missing": missing}, **gathered.summary()}
    if not gathered.judged:
        sentence = f"No window of {app.schema.name} was judged {range_text(given)}."
        empty = _empty(app, sentence, [missing] if missing else [], now_ms)
        return Made(empty, sentence, values | {"sentence": sentence}, judged=False, missing=missing)
    notes = [f"Asked for: {range_text(given)}."] if given != Range() else []
    notes += [missing] if missing else []
    page = gathered.page(ProfileReader(app), name=app.schema.name, now_ms=now_ms, notes=notes)
    return Made(html(page), page.sentence, values | {"sentence": page.sentence}, judged=True, missing=missing)


def _empty(app: App, sentence: str, notes: list[str], now_ms: int) -> str:
    title = f"Drift of {app.schema.name}"
    header = document.header(title, "", "nothing judged", "watch")
    footer = f"Made by longshore {time_text(now_ms)}."
    return document.document(title, CSS, header, [document.headline(sentence, [], notes)], footer)
