"""What anybody who looks at the registry while trainers die may see: whole versions, histories that only grow."""

from __future__ import annotations

import threading
from typing import Any

from longshore.config import Settings
from longshore.registry import AliasRecord, Registry

PAUSE_S = 0.01


class Watch(threading.Thread):
    """Looks, again and again, until `halt`; `troubles` is what should never be."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self._registry = Registry.open(settings.registry(), settings.model)
        self._seen: set[str] = set()
        self._history: list[AliasRecord] = []
        self._outcomes: dict[str, dict[str, Any]] = {}
        self.halt = threading.Event()
        self.looks = 0
        self.troubles: list[str] = []

    def run(self) -> None:
        """Look; an error of the registry's is a trouble, too."""
        while not self.halt.wait(PAUSE_S):
            try:
                self._look()
            except Exception as error:
                self.troubles.append(f"looking at the registry: {type(error).__name__}: {error}")
            self.looks += 1

    def _look(self) -> None:
        history = self._registry.history()  # before the versions that it names
        for version in self._registry.numbered():
            if version not in self._seen:
                self._seen.add(version)
                self.troubles += [f"at first sight: {line}" for line in self._registry.verify(version)]
        if history[: len(self._history)] != self._history:
            self.troubles.append(f"the history changed: {self._history[-1:]} is not in {history[-2:]}")
        if [move.generation for move in history] != list(range(1, len(history) + 1)):
            self.troubles.append(f"generations are {[move.generation for move in history]}")
        self.troubles += [f"champion {m.version} is no version" for m in history[-1:] if m.version not in self._seen]
        self._history = history
        for trigger_id in self._registry.store.names("claims"):
            outcome = self._registry.outcome(trigger_id)
            if self._outcomes.get(trigger_id, outcome) != outcome:
                self.troubles.append(f"{trigger_id} ended as {self._outcomes[trigger_id]}, then as {outcome}")
            if outcome is not None:
                self._outcomes[trigger_id] = outcome
