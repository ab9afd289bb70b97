"""What others tell, as pane messages: model events and measured KPIs. What cannot be read is left out, and told of."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import structlog

from longshore import telemetry
from longshore.monitor.messages import KpiSeen, ModelMoved
from longshore.records import UNREADABLE, KpiValue, ModelEvent, ModelEventKind

log = structlog.get_logger()

_NOTHING_TO_DECIDE_BY = (ModelEventKind.REFUSED, ModelEventKind.AWAITING_APPROVAL)
"""Model events that are not relayed: older deciders do not know them."""


def models_moved(values: Iterable[bytes | None]) -> list[ModelMoved]:
    """Of values of `model.events`."""
    moved = []
    for value in values:
        try:
            event = msgspec.json.decode(value or b"", type=ModelEvent)
        except UNREADABLE as error:
            log.warning("a model event is not readable and is left out", error=str(error))
            continue
        if event.kind not in _NOTHING_TO_DECIDE_BY:
            moved.append(ModelMoved(event))
    return moved


def kpis_seen(values: Iterable[bytes | None]) -> list[KpiSeen]:
    """Of values of `kpi`; JSON holds finite numbers only."""
    seen = []
    for value in values:
        try:
            seen.append(KpiSeen(msgspec.json.decode(value or b"", type=KpiValue)))
        except UNREADABLE as error:
            telemetry.KPIS_UNREADABLE.inc()
            log.warning("a KPI's value is not readable and is left out", error=str(error))
    return seen
