"""The topics Longshore uses: their names under a prefix, their keys' meaning, and how each is created.

Creating and checking them is `longshore.kafka.admin`'s work.
"""

from __future__ import annotations

from dataclasses import dataclass

from longshore.config import Settings
from longshore.schema import Schema

DEAD_LETTER_BYTES = 1024 * 1024 * 1024
"""Of each partition, before the oldest go."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How one topic is created. `partitions` 1 where order over the whole topic carries meaning."""

    name: str
    partitions: int
    config: dict[str, str]


@dataclass(frozen=True, slots=True)
class Topics:
    """Every topic's full name."""

    prefix: str
    records: str
    predictions: str
    labels: str
    dead_letters: str
    replays: str
    panes: str
    events: str
    state: str
    requests: str
    models: str
    relayed: str
    kpis: str

    @classmethod
    def of(cls, prefix: str, schema: Schema) -> Topics:
        """The names under `prefix`; the records' topic is the schema's."""
        return cls(
            prefix=prefix,
            records=prefix + schema.topic,
            predictions=f"{prefix}predictions",
            labels=f"{prefix}labels",
            dead_letters=f"{prefix}{schema.topic}.dlq",
            replays=f"{prefix}{schema.topic}.dlq.replays",
            panes=f"{prefix}drift.panes",
            events=f"{prefix}drift.events",
            state=f"{prefix}drift.state",
            requests=f"{prefix}retrain.requests",
            models=f"{prefix}model.events",
            relayed=f"{prefix}labels.relayed",
            kpis=f"{prefix}kpi",
        )

    def to_join(self, settings: Settings) -> str:
        """The topic whose labels are joined to predictions."""
        return self.relayed if settings.monitor.relay_labels else self.labels

    def to_count(self, settings: Settings) -> list[str]:
        """The topics the counting role reads; `kpis` only where a KPI comes from there."""
        return [self.predictions, self.labels, self.models, *([self.kpis] if _measured(settings) else [])]

    def specs(self, settings: Settings) -> tuple[TopicSpec, ...]:
        """What `topics create` creates: data topics are partitioned and expire, control topics are single and stay."""
        retained = {"retention.ms": str(int(settings.topics.retention_hours * 3_600_000)), "cleanup.policy": "delete"}
        kept = {"retention.ms": "-1", "cleanup.policy": "delete"}
        compacted = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1", "segment.ms": "3600000"}
        # A dead letter keeps its record's timestamp: by time, those of an old backlog would be deleted at once.
        unread = {"retention.ms": "-1", "retention.bytes": str(DEAD_LETTER_BYTES), "cleanup.policy": "delete"}
        data = [self.records, self.predictions, self.labels]
        if settings.monitor.relay_labels:
            data.append(self.relayed)
        return (
            *(TopicSpec(name, settings.topics.partitions, retained) for name in data),
            *([TopicSpec(self.kpis, 1, retained)] if _measured(settings) else []),
            TopicSpec(self.dead_letters, settings.topics.partitions, unread),
            TopicSpec(self.replays, 1, compacted),
            TopicSpec(self.panes, 1, retained),
            TopicSpec(self.events, 1, kept),
            TopicSpec(self.state, 1, compacted),
            TopicSpec(self.requests, 1, kept),
            TopicSpec(self.models, 1, kept),
        )


def _measured(settings: Settings) -> bool:
    """Whether any KPI's values come from the topic."""
    return any(kpi.expression is None for kpi in settings.monitor.kpis.values())
