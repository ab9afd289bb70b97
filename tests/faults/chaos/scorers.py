"""The scorers' processes: started under stable names, stopped and killed, and started again when they end.

Every end is noted with its reason: a scorer may give up (fenced, Kafka away), but it must say why in one line.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from longshore.local.process import Child

FENCED, STARTED, ASSIGNED = "took over", "service started", "partitions assigned"
"""What a scorer's log says."""

CLEAN_END_S = 60.0


@dataclass(frozen=True, slots=True)
class End:
    """How a process ended. `ours`: by a signal of the plan."""

    instance: str
    code: int
    ours: bool
    reason: str
    log: str
    had_started: bool = True

    @property
    def is_clear(self) -> bool:
        """Whether it was our SIGKILL, a clean end that we asked for, or an error told in one line.

        SIGTERM kills where it comes before the service has started.
        """
        kills = (-signal.SIGKILL,) if self.had_started else (-signal.SIGKILL, -signal.SIGTERM)
        return (self.ours and self.code in (0, *kills)) or (self.code > 0 and bool(self.reason))

    @property
    def kind(self) -> str:
        """A few words for the table."""
        if self.ours and self.code == -signal.SIGKILL:
            return "killed by the plan"
        if self.ours and self.code == -signal.SIGTERM and not self.had_started:
            return "ended before it had started"
        if self.code == 0:
            return "clean end" if self.ours else "ended by itself"
        return "fenced" if FENCED in self.reason else (self.reason[:70] or f"code {self.code} without a reason")


@dataclass(slots=True)
class Scorer:
    """One process."""

    instance: str
    child: Child
    ours: bool = False
    """We have sent it a signal that ends it."""
    stopped: bool = False
    worked: bool = False

    def is_working(self) -> bool:
        """Whether it has been given partitions at least once."""
        self.worked = self.worked or self.child.log_has(ASSIGNED)
        return self.worked

    def send(self, number: signal.Signals) -> None:
        """A signal; to one that has ended, nothing."""
        self.stopped = number == signal.SIGSTOP
        if self.child.ended() is None:
            os.kill(self.child.record.pid, number)


class Scorers:
    """The processes by instance; `others` are those whose name somebody else has by now."""

    def __init__(self, folder: Path, variables: Mapping[str, str], *, tree: Path | None = None) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._variables = {**variables, "PYTHONFAULTHANDLER": "1"}
        if tree:
            self._variables["PYTHONPATH"] = str(tree.absolute())
        self.living: dict[str, Scorer] = {}
        self.others: list[Scorer] = []
        self.ends: list[End] = []
        self.starts = 0

    def start(self, instance: str) -> Scorer:
        """Start one; whoever had the name before keeps running as one of `others`."""
        if before := self.living.pop(instance, None):
            self.others.append(before)
        log = self._folder / f"{self.starts:04}-{instance}.log"
        self.starts += 1
        env = shutil.which("env")
        assert env is not None
        variables = [f"{name}={value}" for name, value in self._variables.items()]
        command = [env, *variables, sys.executable, "-m", "longshore.cli.main", "score", "--instance", instance]
        scorer = Scorer(instance, Child(command, port=0, folder=self._folder, log=log))
        scorer.child.go()
        self.living[instance] = scorer
        return scorer

    def kill(self, instance: str) -> None:
        """SIGKILL, and start its successor at once."""
        scorer = self.living.pop(instance)
        scorer.ours = True
        scorer.child.stop(0)
        self._note(scorer)
        self.start(instance)

    def ask_to_end(self, instance: str) -> Scorer:
        """SIGTERM; it is nobody's living process from now on."""
        scorer = self.living.pop(instance)
        scorer.ours = True
        scorer.send(signal.SIGTERM)
        self.others.append(scorer)
        return scorer

    def tend(self) -> None:
        """Note who has ended, and start again whoever should live."""
        for scorer in [s for s in self.others if s.child.ended() is not None]:
            self.others.remove(scorer)
            self._note(scorer)
        for instance, scorer in list(self.living.items()):
            if scorer.child.ended() is not None:
                del self.living[instance]
                self._note(scorer)
                # A twin may have fenced it: then that is the one.
                same = (s for s in self.others if s.instance == instance and not s.ours and not s.stopped)
                twin = next(same, None)
                if twin:
                    self.others.remove(twin)
                    self.living[instance] = twin
                else:
                    self.start(instance)

    def tell_where(self) -> None:
        """Have every one write its threads' stacks into its log, which ends it (Python's faulthandler on SIGABRT)."""
        for scorer in [*self.living.values(), *self.others]:
            scorer.send(signal.SIGABRT)
            scorer.send(signal.SIGCONT)

    def working(self) -> list[str]:
        """The names of those that have had partitions, in order."""
        return sorted(name for name, scorer in self.living.items() if scorer.is_working())

    def close(self) -> None:
        """End whatever still runs."""
        for scorer in [*self.living.values(), *self.others]:
            scorer.child.stop(0)

    def reasons(self) -> Counter[str]:
        """How often which end."""
        return Counter(end.kind for end in self.ends)

    def _note(self, scorer: Scorer) -> None:
        code = scorer.child.wait(CLEAN_END_S)
        text = scorer.child.log.read_text(encoding="utf-8", errors="replace")
        reason = next((line for line in reversed(text.splitlines()[-3:]) if line.startswith("longshore: ")), "")
        scorer.child.stop(0)  # closes its lifeline
        reason = reason.removeprefix("longshore: ")
        self.ends.append(End(scorer.instance, code, scorer.ours, reason, scorer.child.log.name, STARTED in text))
