"""An episode as a page of text, and as plain values for JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from longshore.cli.drift_table import ALERT, cells, sparkline, table_of
from longshore.cli.trace_text import clean
from longshore.monitor.pages.history import number, values_of
from longshore.monitor.pages.moved import Distribution, moved_ranges
from longshore.monitor.pages.places import LEVEL, segment_text, segments_in
from longshore.monitor.pages.story import Story
from longshore.monitor.pages.usual_lines import Usual
from longshore.monitor.pages.wording import METRICS, outside_text
from longshore.monitor.segments import SegmentMoved
from longshore.pages.wording import count_text, p_is, p_text, share_text, time_text, value_text
from longshore.profile import Profile
from longshore.records import DriftEvent, Moved

SHOWN, SEGMENTS = 12, 8
"""Streams of the table and segments told of; the JSON has all."""


@dataclass(frozen=True, slots=True)
class Told:
    """An episode, the profile it was judged by (None where the registry has none), distributions by stream."""

    story: Story
    profile: Profile | None
    distributions: dict[str, Distribution]

    @property
    def at_alert(self) -> DriftEvent | None:
        """The event that tells how things stood at the alert."""
        return self.story.first or self.story.alert or self.story.last

    @property
    def now(self) -> DriftEvent | None:
        """The last verdict within the episode."""
        return self.story.last or self.at_alert

    def usual(self) -> dict[str, dict[str, float]]:
        """By stream and metric, what 95 % of windows without drift stay below, at the alert's window size."""
        event, known = self.at_alert, Usual(self.profile) if self.profile else None
        if event is None or known is None:
            return {stream.name: {} for stream in event.streams} if event else {}
        found = {stream.name: known.of(stream.name, event.window.records) for stream in event.streams}
        return {name: {metric: quantiles[1] for metric, quantiles in of.items()} for name, of in found.items()}

    def segments(self) -> list[SegmentMoved]:
        """The segments that the alert told of, else the verdict with it."""
        events = [event for event in (self.story.alert, self.story.first) if event is not None]
        return next((found for event in events if (found := segments_in(event.detail))), [])

    def pairs(self) -> list[tuple[Moved, Moved | None]]:
        """Each stream at the alert, most moved first, and in the last verdict."""
        if self.at_alert is None:
            return []
        later = {stream.name: stream for stream in self.now.streams} if self.now else {}
        return [(stream, later.get(stream.name)) for stream in self.at_alert.streams]

    def to_dict(self) -> dict[str, Any]:
        """Everything there is, as plain values."""
        story, event = self.story, self.at_alert
        detail, usual = event.detail if event else {}, self.usual()
        return {
            "id": story.id,
            "cause": story.cause,
            "state": story.state,
            "model_version": story.version,
            "generation": story.generation,
            "began": story.began,
            "alerted": story.alerted,
            "ended": story.ended,
            "p_value": event.p_value if event else None,
            "limit": number(detail, "limit"),
            "run_length": number(detail, "run_length"),
            "by_scale": detail.get("by_scale", {}),
            "streams": [_stream(then, now, usual[then.name]) for then, now in self.pairs()],
            "ranges": {
                name: [each.to_dict() for each in moved_ranges(found)] for name, found in self.distributions.items()
            },
            "segments": [asdict(each) for each in self.segments()],
            "steps": [{"time": step.at, "kind": step.kind, "text": step.text} for step in story.steps],
            "triggers": sorted(story.triggers),
        }


def _stream(then: Moved, now: Moved | None, usual: dict[str, float]) -> dict[str, Any]:
    return {
        "name": then.name,
        "kind": then.kind,
        "alert": then.alert,
        "p_value": then.p_value,
        "at_alert": values_of(then) | {"outside": then.outside},
        "now": values_of(now) if now else None,
        "usual_95": usual,
    }


def lines(told: Told) -> Iterator[RenderableType]:
    """The page, from when it began to what was done."""
    yield from _beginning(told)
    yield Text("")
    yield _moved_table(told)
    yield Text("At the alert; → in the last window; ≤ what 95 % of windows without drift stay below.", style="dim")
    for then, _ in told.pairs():
        if then.alert and (beyond := outside_text(then.outside)):
            yield Text(clean(f"  {then.name}: {beyond}"))
    yield from _ranges(told)
    yield from _segments(told)
    yield from _scales(told)
    yield Text("")
    yield Text("What was done (time of writing)", style="bold")
    for step in told.story.steps:
        yield Text.assemble(("  " + time_text(step.at), "dim"), "  ", clean(step.text))
    if not told.story.steps:
        yield Text("  nothing is on drift.events")


def _beginning(told: Told) -> Iterator[Text]:
    story, event = told.story, told.at_alert
    style = ALERT if story.ended is None else "bold"
    yield Text(clean(f"Episode {story.id}: {story.cause or 'drift'} drift under model {story.version}"), style=style)
    yield Text(f"  began     {time_text(story.began)} (event time: the first window over the limit)")
    if story.alerted is not None:
        yield Text(f"  alert     after the window to {time_text(story.alerted)}")
    ended = "it lasts" if story.ended is None else time_text(story.ended)
    yield Text(clean(f"  ended     {ended}; state {story.state or '–'}"))
    if event is None:
        return
    limit, run_length = number(event.detail, "limit"), number(event.detail, "run_length")
    stated = f"; such a limit gives one false alert in {count_text(run_length)} records" if run_length else ""
    against = f" against a limit of {p_text(limit)}{stated}" if limit is not None else ""
    yield Text(f"  evidence  {p_is(event.p_value)}{against}")


def _moved_table(told: Told) -> RenderableType:
    table = table_of("What moved", ["stream", "p", *METRICS.values()])
    known = told.usual()
    for then, now in told.pairs()[:SHOWN]:
        usual, before = known[then.name], values_of(then)
        after = values_of(now) if now else {}
        row = [clean(then.name), _change(p_text(then.p_value), p_text(now.p_value) if now else "")]
        for metric in METRICS:
            later = value_text(after[metric]) if metric in after else ""
            high = f"\n≤ {value_text(usual[metric], 2)}" if metric in usual else ""
            row.append(_change(value_text(before[metric]), later) + high)
        table.add_row(*cells(row), style=ALERT if then.alert else None)
    return table


def _change(then: str, now: str) -> str:
    return f"{then}\n→ {now}" if now and now != then else then


def _ranges(told: Told) -> Iterator[Text]:
    """The ranges that moved of the streams whose shares are known, with their pictures."""
    ranked = [then.name for then, _ in told.pairs() if then.alert and then.name in told.distributions]
    for name in ranked:
        found = told.distributions[name]
        yield Text("")
        yield Text(clean(f"Where {name} moved"), style="bold")
        highest = max((max(each.then, each.now or 0.0) for each in found.bins), default=0.0) or 1.0
        for side, shares in (("reference", [b.then for b in found.bins]), ("now", [b.now or 0.0 for b in found.bins])):
            yield Text(f"  {side:10}{sparkline(shares[:60], highest)}")
        for each in moved_ranges(found):
            part = f"{each.part * 100:.0f} % of its PSI"
            yield Text(
                clean(f"  {each.name}: {share_text(each.then)} then, {share_text(each.now)} at the alert ({part})")
            )
    if not ranked:
        yield Text("")
        yield Text("The events hold no distribution of what moved.", style="dim")


def _segments(told: Told) -> Iterator[Text]:
    """The segments of the rows in which something moved, where the alert or a verdict told of them."""
    moved = [each for each in told.segments() if each.p_value <= LEVEL]
    if moved:
        yield Text("")
        yield Text("In which segments", style="bold")
    for each in moved[:SEGMENTS]:
        yield Text(clean(f"  {each.segmentation}, {each.segment}: {segment_text(each)}"))


def _scales(told: Told) -> Iterator[Text]:
    by_scale = told.at_alert.detail.get("by_scale") if told.at_alert else None
    if not isinstance(by_scale, dict) or not by_scale:
        return
    yield Text("")
    yield Text("Evidence by scale", style="bold")
    for scale, p in sorted(by_scale.items(), key=lambda item: float(item[0])):
        last = "the last window" if str(scale) == "1" else f"the last {scale} windows together"
        yield Text(f"  {last:28} {p_is(float(p))}")
