"""`longshore train --follow --schedule`: two replicas and a slot that is due; one request, served like any other."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from tests.services import Services
from tests.waiting import eventually

from longshore.config import Settings
from longshore.kafka.admin import create_topics
from longshore.kafka.reader import read_all
from longshore.records import RetrainRequest
from longshore.registry import Registry
from longshore.schema import districts
from longshore.topics import Topics

pytestmark = pytest.mark.integration

A_MONTH_S = 30 * 86_400.0


def test_replicas_ask_once_for_a_slot_that_is_due(settings: Settings, tmp_path: Path) -> None:
    topics = Topics.of(settings.topic_prefix, districts())
    create_topics(settings, topics.specs(settings))
    then = Registry.open(settings.registry(), settings.model, clock=lambda: time.time() - A_MONTH_S)
    then.register({"model.onnx": b"never loaded"}, {"metrics": {}})
    then.move_alias("champion", "v1", expected_generation=0, trigger_id="", actor="test", reason="")
    running = Services(settings, tmp_path, {})
    try:
        for name in ("t0", "t1"):
            running.start("train", "--follow", "--schedule", "weekly", "--label-wait", "0", "--instance", name)
        registry = Registry.open(settings.registry(), settings.model)
        slot = eventually(lambda: next(iter(registry.store.names("slots")), None), 60, what="a slot")
        fixed = registry.slot(slot.removesuffix(".json"))
        assert fixed is not None
        outcome = eventually(lambda: registry.outcome(fixed.trigger_id), 60, what="its outcome")
    finally:
        running.kill()
    # There is not one labelled record: it was worked on, and ended as any other request would have.
    assert "too few rows" in outcome["reason"], running.logs()
    messages = [message for batch in read_all(settings, topics.requests) for message in batch]
    (asked,) = (msgspec.json.decode(message.value() or b"", type=RetrainRequest) for message in messages)
    assert (asked.trigger_id, asked.cause, asked.model_version) == (fixed.trigger_id, "schedule", "v1")
