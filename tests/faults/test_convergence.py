"""After a promoter's death, a flushed Redis or a rollback, scorers bring every place to one generation in 10 s."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest
from tests.services import free_port, services
from tests.waiting import eventually

from longshore.config import Settings
from longshore.kafka.model_events import ModelEventLog
from longshore.local.stack import Endpoints
from longshore.registry import Registry

pytestmark = [pytest.mark.integration, pytest.mark.fault]

LIMIT_S = 10.0


def generation_of(port: int) -> int:
    """What a scorer's own /metrics say of the model it serves."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as page:
        lines = page.read().decode().splitlines()
    found = [line for line in lines if line.startswith("longshore_model_generation{")]
    return int(float(found[-1].split()[-1])) if found else 0


def test_every_place_agrees_within_ten_seconds(
    stack: Endpoints, settings: Settings, tmp_path: Path, trained: Path
) -> None:
    ports = [free_port(), free_port()]
    with services(settings, stack, tmp_path, 11) as (run, cache):
        run.adopt(trained)
        run.once("train", "--rows", "2000", "--seed", "1")
        registry = Registry.open(settings.registry(), settings.model)
        for number, port in enumerate(ports):
            run.start("score", "--instance", f"s{number}", LONGSHORE_SERVER__PORT=str(port))
        events = ModelEventLog(settings, f"{settings.topic_prefix}model.events")

        def agree() -> bool:
            alias = registry.alias()
            pointer = cache.get("longshore:model:active")
            told = [event.generation for event in events.read() if event.generation]
            if alias is None or pointer is None or not told:
                return False
            seen = {json.loads(pointer)["generation"], told[-1], *(generation_of(port) for port in ports)}
            return seen == {alias.generation} and len(told) == len(set(told))

        eventually(lambda: all(_answers(port) for port in ports), 60, what="both scorers are up")
        eventually(agree, 30, what="all agree at the start")

        present = registry.alias()
        assert present is not None
        other = next(version for version in registry.versions() if version != present.version)
        # A promoter that dies right after the registry's move: nobody has told Redis or model.events.
        registry.move_alias(
            "champion", other, expected_generation=present.generation, trigger_id="", actor="test", reason="test"
        )
        eventually(agree, LIMIT_S, what="all agree after the promoter's death")

        cache.flushdb()
        eventually(agree, LIMIT_S, what="all agree after Redis was flushed")

        # How long it takes is the benchmark's to prove (`benchmarks/swaps.py`: rollbacks).
        run.once("model", "rollback", "--reason", "worse than it looked")
        eventually(agree, LIMIT_S, what="all agree after a rollback")
        back = registry.alias()
        assert back is not None
        assert (back.version, back.kind, back.reason) == (present.version, "rolled_back", "worse than it looked")


def _answers(port: int) -> bool:
    try:
        return generation_of(port) > 0
    except OSError:
        return False
