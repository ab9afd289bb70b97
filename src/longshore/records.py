"""The messages on the topics, as the contracts have them: names here are the names in the JSON.

Input records are not here: their fields are the schema's (`longshore.codec`). Drift panes and snapshots are internal
formats of the monitor.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import msgspec

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding a stranger's JSON may raise; the last for brackets nested by the thousand."""

CONTEXT = "__connect.errors."
"""Before the name of every header that Kafka Connect (KIP-298) and the scorer append to a dead letter."""
SOURCE = "longshore.source"
"""On a dead letter, its record's `topic/partition/offset`: always the scorer's own; a sender's `CONTEXT` is kept."""
TRUNCATED = "longshore.truncated"
"""On a dead letter that Kafka would not take whole: how many bytes the record had, of which it holds the first."""


FINAL, PROVISIONAL = "final", "provisional"
"""What a drift event's `status` may be."""


class Route(StrEnum):
    """Which model a prediction came from."""

    CHAMPION = "champion"


class Source(msgspec.Struct, frozen=True, gc=False):
    """The coordinates of an input record."""

    topic: str
    partition: int
    offset: int


class Interval(msgspec.Struct, frozen=True, gc=False):
    """Where the truth lies with probability `level`: a prediction's `prediction_interval` (`scorer.interval`)."""

    level: float
    low: float
    high: float


class Label(msgspec.Struct, frozen=True):
    """The truth for a record, observed later (`observed_at`, ms). The entity's id is under the schema's key name."""

    record_id: str
    event_time: int
    observed_at: int
    label: float


class Moved(msgspec.Struct, frozen=True):
    """One stream in a ranking, most moved first; the same fields as a stream of the drift report.

    `outside` and `q_value` came later: events from before have their defaults.
    """

    name: str
    kind: str
    alert: bool
    p_value: float
    psi: float
    kl: float
    js: float
    wasserstein: float
    wasserstein_sigma: float | None
    ks: float
    outside: float = 0.0
    q_value: float = 1.0


class Window(msgspec.Struct, frozen=True):
    """A stretch of event time (ms, end exclusive) and the number of records counted in it."""

    start: int
    end: int
    records: int


class DriftEvent(msgspec.Struct, frozen=True, omit_defaults=False):
    """A value of `drift.events`. `episode` is empty outside one.

    `status` is `final`, or `provisional`: a verdict on a window whose panes are still open, an earlier look from which
    nothing follows. Whoever counts verdicts leaves those out.
    """

    kind: str
    cause: str
    stream_set: str
    model_version: str
    generation: int
    window: Window
    window_index: int
    status: str
    state: str
    episode: str
    p_value: float
    thresholds: dict[str, float]
    streams: list[Moved]
    detail: dict[str, Any] = {}

    @property
    def provisional(self) -> bool:
        """Whether its window may still change; `detail["revision"]` then counts from 0 within one window."""
        return self.status == PROVISIONAL


class RetrainRequest(msgspec.Struct, frozen=True):
    """A value of `retrain.requests`. `trigger_id` is a function of model version, cause, episode and attempt."""

    trigger_id: str
    cause: str
    model_version: str
    window: Window
    streams: list[Moved]
    episode: str
    attempt: int = 1
    evidence: dict[str, Any] = {}


OF_WINDOWS = ("verdict", "era", "performance", "labels", "fairness")
"""Kinds of drift events that come with every window or era, and are no change of state by themselves."""


class ModelEventKind(StrEnum):
    """What happened to a version."""

    REGISTERED = "registered"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    REJECTED = "rejected"
    REFUSED = "refused"
    AWAITING_APPROVAL = "awaiting_approval"


class KpiValue(msgspec.Struct, frozen=True):
    """A value of `kpi`: what somebody measured, by the name it has in `[monitor.kpis]`; `time` in ms."""

    name: Annotated[str, msgspec.Meta(max_length=40)]
    value: float
    time: int


class ModelEvent(msgspec.Struct, frozen=True):
    """A value of `model.events`. `generation` is the alias generation a promotion or rollback made, or that a scorer
    (`actor`) refused; else 0. `version` is empty where a request's data were rejected, before any version was made.
    """

    kind: ModelEventKind
    model: str
    version: str
    generation: int
    trigger_id: str
    actor: str
    reason: str
    time: int
