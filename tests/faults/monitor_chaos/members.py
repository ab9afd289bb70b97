"""The monitors' processes by name (`count-0`, …): started, ended, and asked by their logs what they do."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.services import Services
from tests.waiting import eventually

ROLES = ("count", "decide")
PER_ROLE = 2
PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Member:
    """One process and its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> list[dict[str, Any]]:
        """The lines of its log that are whole."""
        return list(_lines(self.log.read_text(encoding="utf-8", errors="replace")))

    def started(self) -> bool:
        """Whether it catches signals."""
        return any(line["event"] == "service started" for line in self.said())

    def holds(self) -> bool:
        """Whether it has partitions."""
        moves = [line for line in self.said() if line["event"].startswith("partitions ")]
        return bool(moves) and moves[-1]["event"] == "partitions assigned" and bool(moves[-1]["partitions"])

    def last_words(self) -> str:
        """How its log ends."""
        return f"{self.log.read_text(errors='replace').strip().splitlines()[-1:]} ({self.log})"


class Members:
    """Two processes of each role."""

    def __init__(self, services: Services, folder: Path) -> None:
        self._services, self._folder = services, folder
        self.all: list[Member] = []
        self.living: dict[str, Member] = {}
        for role in ROLES:
            for slot in range(PER_ROLE):
                self.start(f"{role}-{slot}")

    def start(self, name: str) -> None:
        """Start one; whoever had the name before is no longer watched."""
        log = self._folder / f"{len(self.all)}-monitor.log"
        process = self._services.start("monitor", "--role", name.split("-", maxsplit=1)[0], "--instance", name)
        self.living[name] = Member(name, process, log)
        self.all.append(self.living[name])

    def working(self, role: str) -> list[str]:
        """The names of those that hold partitions."""
        return sorted(name for name, member in self.living.items() if name.startswith(role) and member.holds())

    def all_work(self) -> bool:
        """Whether every counter holds partitions, and one of the deciders, all of which have started."""
        for name, member in self.living.items():
            assert member.process.poll() is None, f"{name} ended by itself: {member.last_words()}"
        started = all(member.started() for member in self.living.values())
        return started and len(self.working("count")) == PER_ROLE and len(self.working("decide")) == 1

    def end(self, name: str) -> None:
        """SIGTERM, which must end it well."""
        member = self.living.pop(name)
        eventually(member.started, PATIENCE_S, what=f"start of {name}")
        member.process.send_signal(signal.SIGTERM)
        code = member.process.wait(PATIENCE_S)
        assert code == 0, f"{name} ended with {code}: {member.last_words()}"

    def told(self) -> Counter[str]:
        """How often members of which role were given partitions or gave them up, and what was undone."""
        found: Counter[str] = Counter()
        for line in (line for member in self.all for line in member.said()):
            if line["event"].startswith("partitions ") and line["partitions"]:
                found[f"{line['group'].rpartition('.')[2]}: {line['event']}"] += 1
            elif line["event"] in ("transaction failed", "counts will be made again", "decider restored"):
                found[line["event"]] += 1
        return found


def _lines(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue  # half a line, or not the log's
        if isinstance(found, dict) and "event" in found:
            yield found
