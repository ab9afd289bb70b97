"""What a page holds, as plain values: gathered by `of_events` and `of_report`, written by `page`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from longshore.monitor.pages.moved import Distribution, Range
from longshore.monitor.pages.places import Places
from longshore.monitor.pages.quality import Trouble
from longshore.pages.markup import Markup
from longshore.records import ModelEvent
from longshore.tracing.drift import Told


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric of a stream: its value, and its median, 95 % and 99 % quantile without drift where they are known.

    `floor` is the effect below which nothing alarms, `fixed` a limit of the user's own.
    """

    metric: str
    title: str
    value: float | None
    usual: tuple[float, float, float] | None = None
    floor: float | None = None
    fixed: float | None = None

    @property
    def unusual(self) -> bool:
        """Whether the value is above what 99 % of windows without drift stay below."""
        return self.value is not None and self.usual is not None and self.value > self.usual[2]


@dataclass(frozen=True, slots=True)
class Line:
    """A metric over the page's moments, with its usual 95 % line; None where it is not known."""

    reading: Reading
    values: list[float | None]
    usual: list[float | None]


@dataclass(frozen=True, slots=True)
class Part:
    """One stream: its last readings, its lines over time (none for a comparison), its distributions.

    `outside` is the share of its values beyond all that the reference held.
    """

    name: str
    kind: str
    alert: bool
    p_value: float
    readings: list[Reading]
    distribution: Distribution | None = None
    ranges: list[Range] = field(default_factory=list)
    p_values: list[float | None] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    usual_rows: int = 0
    outside: float = 0.0


@dataclass(frozen=True, slots=True)
class Moment:
    """A judged window, or several neighbours as the worst of them, on the time axis (ms of event time)."""

    start: int
    end: int
    records: int
    windows: int
    index: int
    generation: int
    version: str
    p_value: float
    limit: float | None
    over: bool
    top: str


@dataclass(frozen=True, slots=True)
class Band:
    """An episode on the time axis; `ended` is None while it lasts, `alerted` where the alert was not read.

    `picture`: the stream that moved most, and its distributions at the alert.
    """

    id: str
    cause: str
    version: str
    began: int
    alerted: int | None
    ended: int | None
    streams: list[str]
    steps: list[tuple[str, str]]
    picture: tuple[str, Distribution] | None = None


class Section(Protocol):
    """A part of the page of events that gathers what it needs by itself, in bounded memory.

    `name`: its key in a report's JSON.
    """

    name: str

    def add(self, told: Told) -> None:
        """Take in the next event of the topic's order; none is provisional."""

    def outcome(self, event: ModelEvent) -> None:
        """Take in what the registry says happened to a version."""

    def shown(self) -> Markup | None:
        """The section; None where there is nothing to tell."""

    def to_dict(self) -> Any:
        """The same as plain values."""


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page. `tone`: good, watch or bad; `moments` and `bands` are empty for a comparison.

    `fault_line`: faults over time; `errors`: the section on realised errors, where labels have come. `before` stands
    behind the headline, `after` behind the errors.
    """

    title: str
    subtitle: str
    state: str
    tone: str
    sentence: str
    tiles: list[tuple[str, str, str]]
    parts: list[Part]
    made: str
    moments: list[Moment] = field(default_factory=list)
    bands: list[Band] = field(default_factory=list)
    eras: list[tuple[int, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    level: str = ""
    places: Places | None = None
    quality: list[Trouble] = field(default_factory=list)
    fault_line: Markup | None = None
    errors: Markup | None = None
    before: list[Markup] = field(default_factory=list)
    after: list[Markup] = field(default_factory=list)
