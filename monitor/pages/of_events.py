"""A stream's page from its drift events and the profiles of the models they are about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from longshore.monitor.pages import errors
from longshore.monitor.pages.asked import Asked
from longshore.monitor.pages.contents import Band, Line, Moment, Page, Part, Section
from longshore.monitor.pages.errors import ErrorHistory
from longshore.monitor.pages.estimates import estimate_text
from longshore.monitor.pages.fault_line import FaultLine
from longshore.monitor.pages.history import History
from longshore.monitor.pages.joined import JoinedLabels
from longshore.monitor.pages.moved import Distribution, moved_ranges
from longshore.monitor.pages.pictures import Pictures, pictures_of
from longshore.monitor.pages.places import Places, places_of, segments_in
from longshore.monitor.pages.quality import Quality
from longshore.monitor.pages.readings import readings_of
from longshore.monitor.pages.story import Stories, Story, error_text
from longshore.monitor.pages.usual_lines import Usual
from longshore.monitor.pages.versions import Versions
from longshore.monitor.policy import CONCEPT
from longshore.pages.markup import Markup
from longshore.pages.wording import count_text, listed, p_is, share_text, span_text, time_text
from longshore.profile import Profile
from longshore.records import DriftEvent, ModelEvent, Moved
from longshore.tracing.drift import Told

SPARKS = 60
"""Moments in a stream's small picture."""

TONES = {"ok": "good", "cooldown": "good", "warning": "watch"}
STATES = {
    "ok": "no drift", "warning": "watching", "alarm": "drift", "awaiting_labels": "drift, waiting for labels",
    "retraining": "drift, retraining", "cooldown": "new model, cooling down",
}  # fmt: skip


class EventsPage:
    """Takes in events in the topic's order, in bounded memory, and makes a page of them."""

    def __init__(self) -> None:
        self._history = History()
        self._stories = Stories()
        self._pictures = Pictures()
        self._quality = Quality()
        self._eras: list[tuple[int, str]] = []
        self._last: Told | None = None
        self._verdict: Told | None = None
        self._told_places: DriftEvent | None = None
        self._errors = ErrorHistory()
        self._fault_line = FaultLine()
        self._before: list[Section] = [Asked(), Versions()]
        self._after: list[Section] = [JoinedLabels()]

    @property
    def judged(self) -> bool:
        """Whether there is any verdict to draw."""
        return self._verdict is not None

    @property
    def stories(self) -> list[Story]:
        """The episodes, oldest first."""
        return list(self._stories.found.values())

    def add(self, told: Told) -> None:
        """Take in the next event; a provisional verdict is left out."""
        event = told.event
        if event.provisional:
            return
        self._last = told
        self._stories.add(told)
        self._pictures.add(event)
        self._quality.add(event)
        self._fault_line.add(event)
        for section in (*self._before, *self._after):
            section.add(told)
        if event.detail.get("segments"):
            self._told_places = event
        if event.kind == "verdict":
            self._verdict = told
            self._history.add(event)
        elif event.kind in ("performance", "fairness"):
            self._errors.add(event)
        elif event.kind == "era":
            self._eras.append((event.window.start, event.model_version))

    def summary(self) -> dict[str, Any]:
        """The page's headline as plain values."""
        last = self._last.event if self._last else None
        return {
            "state": last.state if last else None,
            "windows": self._history.windows,
            "records": self._history.records,
            "windows_over_limit": self._history.over,
            "alerts": sum(story.alert is not None for story in self.stories),
            "expected_false_alerts": self._history.expected_alerts or None,
            "episodes": [story.id for story in self.stories],
            "moved": self.stories[-1].moved() if self.stories else [],
            "quality": self._quality.to_dict(),
            "performance": self._errors.to_dict(),
            **{section.name: section.to_dict() for section in (*self._before, *self._after)},
        }

    def outcomes(self, events: Iterable[ModelEvent]) -> None:
        """What the registry says of requests, and of how each version came into use."""
        for event in events:
            for section in self._before:
                section.outcome(event)

    def page(self, read: Callable[[str], Profile | None], *, name: str, now_ms: int, notes: Sequence[str] = ()) -> Page:
        """The page; `read` gives a version's profile, None if there is none. ValueError: nothing is `judged`."""
        if self._verdict is None or self._last is None:
            raise ValueError("no verdict")
        verdict = self._verdict.event
        versions = list(dict.fromkeys(point.moment.version for point in self._history.points))
        usual = {version: Usual(profile) for version in versions if (profile := read(version)) is not None}
        parts = [self._part(stream, verdict, usual) for stream in verdict.streams]
        state, moments = self._last.event.state, [point.moment for point in self._history.points]
        bands = [_band(story, usual) for story in self.stories]
        eras = [(at, version) for at, version in self._eras if moments[0].start <= at <= moments[-1].end]
        return Page(
            title=f"Drift of {name}",
            subtitle=f"{_period(moments)} · model {verdict.model_version}, generation {verdict.generation}",
            state=STATES.get(state, state),
            tone=TONES.get(state, "bad"),
            sentence=self._sentence(usual),
            tiles=self._tiles(now_ms),
            parts=parts,
            made=time_text(now_ms),
            moments=moments,
            bands=bands,
            eras=eras,
            notes=[*notes, *self._notes(versions, usual, parts), *filter(None, [estimate_text(verdict)])],
            level=_level(verdict),
            places=self._places(usual),
            quality=list(self._quality.found),
            fault_line=self._fault_line.drawn(moments, bands, eras),
            errors=self._errors_section(bands, eras, usual),
            before=[found for section in self._before if (found := section.shown()) is not None],
            after=[found for section in self._after if (found := section.shown()) is not None],
        )

    def _part(self, stream: Moved, verdict: DriftEvent, usual: dict[str, Usual]) -> Part:
        points = self._history.points
        known = usual.get(verdict.model_version)
        now = known.of(stream.name, verdict.window.records) if known else {}
        readings = readings_of(stream, now, verdict.thresholds)
        series = [point.streams.get(stream.name, {}) for point in points]
        by_point = [
            usual[point.moment.version].of(stream.name, point.rows) if point.moment.version in usual else {}
            for point in points
        ]
        lines = [
            Line(
                reading,
                [values.get(reading.metric) for values in series],
                [each[reading.metric][1] if reading.metric in each else None for each in by_point],
            )
            for reading in readings
        ]
        found = self._distribution(stream.name, known)
        return Part(
            name=stream.name,
            kind=stream.kind,
            alert=stream.alert,
            p_value=stream.p_value,
            readings=readings,
            distribution=found,
            ranges=moved_ranges(found) if found else [],
            p_values=[values.get("p") for values in series][-SPARKS:],
            lines=lines,
            usual_rows=verdict.window.records,
            outside=stream.outside,
        )

    def _distribution(self, name: str, known: Usual | None) -> Distribution | None:
        return self._pictures.distribution(name, known.profile if known else None)

    def _places(self, usual: dict[str, Usual]) -> Places | None:
        """The segments of the last alert or verdict that told of any."""
        if self._told_places is None:
            return None
        known = usual.get(self._told_places.model_version)
        return places_of(segments_in(self._told_places.detail), known.profile if known else None)

    def _errors_section(self, bands: list[Band], eras: list[tuple[int, str]], usual: dict[str, Usual]) -> Markup | None:
        if self._errors.last is None:
            return None
        known = usual.get(self._errors.last.model_version)
        return errors.section(self._errors, bands, eras, known.profile if known else None)

    def _sentence(self, usual: dict[str, Usual]) -> str:
        history, stories = self._history, [story for story in self.stories if story.alert is not None]
        windows = f"{count_text(history.windows, 'window')} ({count_text(history.records, 'record')})"
        if not stories:
            over = f"; {count_text(history.over, 'window')} alone over the limit" if history.over else ""
            return f"No alert in {windows}{over}."
        last = stories[-1]
        text = f"{count_text(len(stories), 'alert')} in {windows}. "
        text += "Last" if len(stories) > 1 else "It"
        text += f" began {time_text(last.began)}: {_what(last)}"
        picture = _picture(last, usual)
        for first in moved_ranges(picture[1], 1) if picture else []:
            then, now = share_text(first.then), share_text(first.now)
            text += f" ({picture[0] if picture else ''} {first.name}: {then} of the reference, {now} at the alert)"
        return f"{text}. {_end(last)}"

    def _tiles(self, now_ms: int) -> list[tuple[str, str, str]]:
        history, verdict = self._history, self._verdict
        assert verdict is not None and self._last is not None  # noqa: S101  (`page` has checked)
        alerts = sum(story.alert is not None for story in self.stories)
        chance = f"{history.expected_alerts:.2g} expected by chance" if history.expected_alerts else ""
        age, event = span_text(now_ms - verdict.written_at), verdict.event
        return [
            ("State", STATES.get(self._last.event.state, self._last.event.state), f"after window {event.window_index}"),
            ("Alerts", count_text(alerts), chance),
            ("Windows over the limit", count_text(history.over), f"of {count_text(history.windows)}"),
            (
                "Last window",
                f"{p_is(event.p_value)}",
                f"{count_text(event.window.records, 'record')}, judged {age} ago",
            ),
        ]

    def _notes(self, versions: list[str], usual: dict[str, Usual], parts: list[Part]) -> list[str]:
        notes = []
        if absent := [version for version in versions if version not in usual]:
            notes.append(
                f"The registry holds no readable profile of {listed(absent, 5)}: its usual lines and reference "
                "distributions are missing."
            )
        if not all(part.distribution and part.distribution.known for part in parts):
            notes.append(
                "Where only the reference's distribution is drawn, the monitor's events hold no shares of that stream: "
                "an alert holds those of the stream that moved most."
            )
        if (merged := max(point.moment.windows for point in self._history.points)) > 1:
            notes.append(f"A point stands for up to {merged} windows: the rarest p-value, the largest distances.")
        verdict = self._verdict
        if verdict is not None and verdict.event.detail.get("reference_limited"):
            notes.append(
                "Reference-limited: the window has more than half as many rows as the reference, whose own noise "
                "limits what can be seen."
            )
        return notes


def _period(moments: list[Moment]) -> str:
    return f"{time_text(moments[0].start)} to {time_text(moments[-1].end)} (event time)"


def _band(story: Story, usual: dict[str, Usual]) -> Band:
    return Band(
        id=story.id,
        cause=story.cause,
        version=story.version,
        began=story.began,
        alerted=story.alerted,
        ended=story.ended,
        streams=story.moved(),
        steps=[(time_text(step.at), step.text) for step in story.steps],
        picture=_picture(story, usual),
    )


def _picture(story: Story, usual: dict[str, Usual]) -> tuple[str, Distribution] | None:
    """The alert's picture: the stream that moved most, and its distributions."""
    if story.alert is None:
        return None
    known = usual.get(story.version)
    for name, picture in pictures_of(story.alert).items():
        drawn = picture.drawn(known.profile if known else None, name)
        if drawn is not None:
            return name, drawn
    return None


def _what(story: Story) -> str:
    if story.alert is not None and story.cause == CONCEPT:
        return error_text(story.alert.detail)
    return f"{listed(story.moved()) or 'nothing alone'} moved"


def _end(story: Story) -> str:
    if story.ended is None:
        return f"It lasts: {STATES.get(story.state, story.state)}."
    return f"It ended {time_text(story.ended)}."


def _level(verdict: DriftEvent) -> str:
    run_length = verdict.detail.get("run_length")
    if not isinstance(run_length, int | float):
        return ""
    return f"The limit stands for one false alert in {count_text(run_length)} records on average."
