"""What may go from a registry to make room, and its going: files of versions that nobody will ask for, and left-overs.

A collected version keeps its manifest, its number and its place in the history: only its other files go, and no alias
can be pointed at it again. Steps, so that a kill between any two leaves a registry that the next run can go on with:
1. note each version as collected (from here on no alias can move to it, and scorers do not ask for it),
2. read the aliases again: what one points at by now is spared, its note taken back,
3. delete the files; a later run deletes what a killed one left of noted versions.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from longshore.registry.catalog import CHALLENGER, CHAMPION, PREVIOUS, Registry
from longshore.registry.versions import MANIFEST

UNDECIDED_AGE_S = 86_400.0
"""A version younger than a day may be waiting for its gate, a repeated run, or a person's approval."""
UNFINISHED_AGE_S = 3_600.0
"""Copying a version takes seconds: a folder that has had no manifest for an hour will not get one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`versions` to collect and `leftovers` to delete, by their bytes; `kept`: every other version with the reason."""

    versions: dict[str, int] = field(default_factory=dict)
    leftovers: dict[str, int] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)

    def total(self) -> int:
        """Bytes that would be free."""
        return sum(self.versions.values()) + sum(self.leftovers.values())


class Collector:
    """Plans and carries out collections in one model's registry."""

    def __init__(self, registry: Registry, *, keep: int, moves: int) -> None:
        self._registry = registry
        self._store = registry.store
        self._keep = keep
        self._moves = moves

    def plan(self, now: float) -> Plan:
        """What may go at `now` (s since epoch).

        Kept are the newest `keep` versions, whatever an alias points at, what the last `moves` moves of any alias
        named, what an unfinished request made or a person has not answered about, and what is younger than a day.
        """
        plan = Plan(leftovers=self._store.leftovers() | self._of_the_dead())
        reasons = self._reasons(now)
        for version in self._registry.versions():
            if version in reasons:
                plan.kept[version] = reasons[version]
            else:
                plan.versions[version] = sum(self._sizes(version).values())
        return plan

    def collect(self, plan: Plan, *, actor: str, reason: str) -> Plan:
        """Carry a plan out; what really went, less where an alias was moved meanwhile.

        Raises:
            UnavailableError: something could not be deleted; a later run goes on.

        """
        for version in plan.versions:
            self._registry.mark_collected(version, actor=actor, reason=reason)
        named = self._named()
        gone = Plan(leftovers=plan.leftovers, kept=dict(plan.kept))
        for version, size in plan.versions.items():
            if version in named:
                self._registry.notes.spare(version)
                gone.kept[version] = named[version]
            else:
                gone.versions[version] = size
                self._store.clear(self._sizes(version))
        self._store.clear(plan.leftovers)
        return gone

    def _reasons(self, now: float) -> dict[str, str]:
        """Why versions stay."""
        newest = self._registry.versions()[-self._keep :] if self._keep else []
        reasons = dict.fromkeys(newest, f"among the newest {self._keep}")
        open_requests = set(self._registry.open_requests())
        for version in self._registry.versions():
            manifest = self._registry.readable(version)
            if not manifest or now - datetime.fromisoformat(manifest["created"]).timestamp() < UNDECIDED_AGE_S:
                reasons[version] = "younger than a day" if manifest else "its manifest is damaged"
            if manifest.get("trigger_id") in open_requests:
                reasons[version] = f"request {manifest['trigger_id']} is not finished"
        return reasons | self._awaiting() | self._named()

    def _awaiting(self) -> dict[str, str]:
        """What a person has been asked about and has not answered."""
        champions = {move.version for move in self._registry.history()}
        asked = {move.version for move in self._registry.history(CHALLENGER)} - champions
        return {version: "waits for approval" for version in asked if self._registry.notes.approval(version) is None}

    def _named(self) -> dict[str, str]:
        """What aliases point at or pointed at lately."""
        found: dict[str, str] = {}
        for alias in self._registry.aliases():
            moves = self._registry.history(alias)
            found |= {move.version: f"{alias} in generation {move.generation}" for move in moves[-self._moves :]}
            found[moves[-1].version] = alias
        if previous := self._registry.alias(PREVIOUS):
            found[previous.version] = PREVIOUS
        if champion := self._registry.alias(CHAMPION):
            found[champion.version] = CHAMPION
        return found

    def _sizes(self, version: str) -> dict[str, int]:
        """The keys of a version's files that are there, and their bytes; all but the manifest."""
        described = self._registry.readable(version).get("files", {})
        folder = f"versions/{version}"
        names = [name for name in self._store.names(folder) if name != MANIFEST]
        return {f"{folder}/{name}": described.get(name, {}).get("bytes", 0) for name in names}

    def _of_the_dead(self) -> dict[str, int]:
        """What killed collectors left of noted versions, and old folders without a manifest, which nobody sees."""
        found: dict[str, int] = {}
        for version in self._registry.notes.collected():
            found |= self._sizes(version)
        unfinished = set(self._registry.numbered()) - set(self._registry.registered())
        for version in unfinished:
            folder = Path(self._store.address(f"versions/{version}"))
            if folder.is_dir() and time.time() - folder.stat().st_mtime > UNFINISHED_AGE_S:
                found |= {f"versions/{version}/{path.name}": path.stat().st_size for path in folder.iterdir()}
        return found
