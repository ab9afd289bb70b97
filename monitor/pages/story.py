"""Episodes from the monitor's events: when each began, what moved, what was done about it, how it ended.

Event times are the data's (a window's); the times of what was done are when it was written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from longshore.monitor.fairness_watch import FAIRNESS
from longshore.monitor.pages.history import number, over_limit
from longshore.monitor.pages.quality import KINDS
from longshore.monitor.pages.quality import step_text as quarantined_text
from longshore.pages.wording import count_text, listed
from longshore.records import DriftEvent, ModelEvent
from longshore.tracing.drift import Told

OF_LABELS = ("performance", "labels")
"""Events of windows of labels, which come whether or not there is an episode."""

REMEMBERED = 64
"""Verdicts over the limit kept to find an alert's first one: more than any rule looks back."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something done: when it was written (ms), by what name, and what it was in words."""

    at: int
    kind: str
    text: str


@dataclass(slots=True)
class Story:
    """One episode.

    Attributes:
        id: as the events have it.
        cause: covariate, prediction, …
        version: the model it was seen under.
        generation: that model's.
        began: start of the first window over the limit (event time, ms).
        alerted: end of the window at which the alert was raised; None where the alert was not read.
        ended: end of the last window of a resolved episode; None while it lasts.
        state: of the last event.
        first: the verdict the alert came with.
        alert: the alert.
        last: the last verdict within the episode.
        steps: what was done, in order of time.
        triggers: the ids of its requests.

    """

    id: str
    cause: str
    version: str
    generation: int
    began: int
    alerted: int | None = None
    ended: int | None = None
    state: str = ""
    first: DriftEvent | None = None
    alert: DriftEvent | None = None
    last: DriftEvent | None = None
    steps: list[Step] = field(default_factory=list)
    triggers: set[str] = field(default_factory=set)

    def moved(self) -> list[str]:
        """The streams that alarm, most moved first: at the alert, else in the last verdict."""
        event = self.alert or self.last
        return [stream.name for stream in event.streams if stream.alert] if event else []

    def add_outcomes(self, events: Iterable[ModelEvent]) -> None:
        """What became of the requests, from the registry's events."""
        for event in events:
            if event.trigger_id and event.trigger_id in self.triggers:
                self.steps.append(Step(event.time, event.kind.value, outcome_text(event)))
        self.steps.sort(key=lambda step: step.at)


class Stories:
    """Gathers episodes from events in the topic's order."""

    def __init__(self) -> None:
        self._over: deque[DriftEvent] = deque(maxlen=REMEMBERED)
        self.found: dict[str, Story] = {}

    def add(self, told: Told) -> None:
        """Take in the next event; provisional verdicts, windows of labels and groups are no part of any story."""
        event = told.event
        if event.provisional or event.kind in OF_LABELS:
            return
        if event.kind == "verdict" and over_limit(event):
            self._over.append(event)
        if not event.episode or event.kind in (*KINDS, "kpi", "kpi_over") or event.cause == FAIRNESS:
            return
        story = self.found.get(event.episode)
        if story is None:
            story = self.found[event.episode] = self._begun(event)
        story.state = event.state
        if event.kind == "verdict":
            story.last = event
            story.first = story.first or (event if story.alert is None else None)
            return
        story.steps.append(Step(told.written_at, event.kind, step_text(event)))
        if trigger := event.detail.get("trigger_id"):
            story.triggers.add(str(trigger))
        if event.kind == "alert":
            self._alerted(story, event)
        elif event.kind == "resolved":
            story.ended = event.window.end

    def _begun(self, event: DriftEvent) -> Story:
        return Story(event.episode, event.cause, event.model_version, event.generation, event.window.start)

    def _alerted(self, story: Story, event: DriftEvent) -> None:
        """The alert says how many windows were over the limit: the first of them began it."""
        story.alert, story.alerted, story.cause = event, event.window.end, event.cause
        over = [each for each in self._over if each.generation == event.generation]
        windows = event.detail.get("windows")
        looked = over[-windows:] if isinstance(windows, int) and windows > 0 else []
        story.began = min([story.began, *(each.window.start for each in looked)])


def step_text(event: DriftEvent) -> str:
    """What an event of an episode says, in words."""
    detail = event.detail
    if event.kind in ("alert", "error_grew") and isinstance(detail.get("loss_test"), dict):
        return f"{'Alert' if event.kind == 'alert' else 'The error grew, too'}: {error_text(detail)}"
    if event.kind == "alert":
        moved = [stream.name for stream in event.streams if stream.alert]
        return f"Alert: {event.cause} drift{_over(detail)}; moved: {listed(moved, 5) or 'the whole'}"
    if event.kind == "quarantined":
        return quarantined_text(event)
    if event.kind in DONE:
        return DONE[event.kind](detail)
    told = ", ".join(f"{key} {value}" for key, value in detail.items() if isinstance(value, str | int | float))
    return f"{event.kind.replace('_', ' ').capitalize()}{': ' + told if told else ''}"


DONE: dict[str, Callable[[dict[str, Any]], str]] = {
    "awaiting_labels": lambda d: f"Waiting for labels: {_count(d, 'fresh_labels')} of {_count(d, 'needed')} fresh ones",
    "retraining": lambda d: (
        f"Retraining requested: attempt {d.get('attempt', 1)}, {_count(d, 'fresh_labels')} fresh labels, "
        f"request {d.get('trigger_id', '–')}"
    ),
    "would_request": lambda d: f"A retraining would be requested (dry run): {_count(d, 'fresh_labels')} fresh labels",
    "over_budget": lambda d: f"No request: the budget of {_count(d, 'budget')} in {d.get('days')} days is spent",
    "attempt_closed": lambda d: (
        f"Attempt {d.get('attempt', '–')} closed, the challenger was rejected: {d.get('reason', '–')}"
    ),
    "resolved": lambda d: f"Resolved: {d.get('reason', 'no reason given')}",
}
"""What was done, in words, by the event's kind."""


def error_text(detail: dict[str, Any]) -> str:
    """How far errors have grown, and which way, from an event's detail."""
    ratio = number(detail.get("excess") or {}, "rmse_ratio")
    grown = f"RMSE {ratio:.2f} times that of held-out rows" if ratio is not None else "errors are not as validated"
    return f"{grown}; {detail['moved']}" if detail.get("moved") else grown


def outcome_text(event: ModelEvent) -> str:
    """What the registry says of a request's outcome."""
    generation = f" as generation {event.generation}" if event.generation else ""
    by = f" by {event.actor}" if event.actor else ""
    reason = f": {event.reason}" if event.reason else ""
    what = f"Model {event.version}" if event.version else "The data for a new model"
    return f"{what} {event.kind.value.replace('_', ' ')}{generation}{by}{reason}"


def _over(detail: dict[str, Any]) -> str:
    windows = detail.get("windows")
    return f" in {count_text(windows, 'window')} over the limit" if isinstance(windows, int) else ""


def _count(detail: dict[str, Any], key: str) -> str:
    value = detail.get(key)
    return count_text(value) if isinstance(value, int | float) else "–"


def by_prefix(stories: Sequence[Story], given: str) -> list[Story]:
    """The episodes whose id begins so; `last` is the latest."""
    if given == "last":
        return list(stories[-1:])
    return [story for story in stories if story.id.startswith(given)]
