"""The decider: pane messages in, verdicts, alerts and requests out. Pure and without a clock.

The same messages give the same outputs bit for bit, whenever and in whatever pieces they are applied; a snapshot plus
the messages after it is as good as all of them. Closing panes is `windows`'s work, the state machine `episodes`'s,
judging `verdicts`'s, a model's age `ageing`'s, when to tell of a window that is still open `ahead`'s; transactions and
topics are `service`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from longshore.monitor import aside, messages
from longshore.monitor.ageing import AGE, Ageing
from longshore.monitor.ahead import LookAhead
from longshore.monitor.deciding import DeciderSettings, Outputs, decide_all, event_of, told_of
from longshore.monitor.episodes import Episodes, Phase, Told
from longshore.monitor.fairness_watch import FairnessTold, FairnessWatch
from longshore.monitor.harm import ErrorSeen, HarmWatch
from longshore.monitor.kpis import KpiWatch
from longshore.monitor.label_decisions import LabelDecisions
from longshore.monitor.messages import Counted, Errors, Idle, KpiSeen, LabelsSeen, ModelMoved, PaneMessage
from longshore.monitor.models import Profiles
from longshore.monitor.packing import pack_counts, unpack_counts
from longshore.monitor.policy import OF_LABELS
from longshore.monitor.quarantine import Change, Quarantine
from longshore.monitor.report import Report
from longshore.monitor.snapshots import Snapshot
from longshore.monitor.verdicts import Judge, Verdict
from longshore.monitor.watermark import Watermark
from longshore.monitor.window_parts import Era, EraBegun, Filled
from longshore.monitor.windows import Windows
from longshore.records import FINAL, PROVISIONAL, DriftEvent, ModelEventKind, Window

__all__ = ["Decider", "DeciderSettings", "Outputs", "decide_all"]

NOTHING = Window(0, 0, 0)


class Decider:
    """Applies pane messages in the order of their offsets.

    `quarantine`: the data-quality faults that last; `harm`: what labels say; `fairness`, `kpis`: of groups, of users.
    """

    def __init__(self, settings: DeciderSettings, profiles: Profiles, snapshot: Snapshot | None = None) -> None:
        self._settings, self._offset = settings, snapshot.offset if snapshot else 0
        self._watermark = snapshot.watermark if snapshot else Watermark()
        windows = snapshot.windows if snapshot else None
        self._windows = Windows(profiles, settings.window_records, windows, sample_rows=settings.sample_rows)
        self._episodes = Episodes(settings.rules, snapshot.episodes if snapshot else None)
        self._read = snapshot.read if snapshot else {}
        self._rebuilt: dict[int, int] = {}
        self._last_window, self._last_index = snapshot.last if snapshot else (NOTHING, -1)
        self._steps = [unpack_counts(step) for step in snapshot.steps] if snapshot else []
        self._judge = Judge(settings.alarm, settings.thresholds, settings.pane_ms, settings.sample_rows > 0)
        self._ahead = LookAhead(settings.pane_ms, snapshot.look if snapshot else None)
        self.quarantine = Quarantine(settings.quality, snapshot.quarantine if snapshot else None)
        self._episodes.held = self.quarantine.holds
        self.harm = HarmWatch(settings.harm, profiles, settings.pane_ms, snapshot.harm if snapshot else None)
        age = snapshot.age if snapshot else None
        self._ageing = Ageing(settings.rules, settings.max_age_days, settings.pane_ms, age)
        by_group = snapshot.by_group if snapshot else None
        self.fairness = FairnessWatch(settings.fairness, profiles, settings.pane_ms, by_group)
        if snapshot and snapshot.harm is None:  # from before there were labels in it
            self.harm.begin(snapshot.windows.era.version)
        self.kpis = KpiWatch(settings.kpis, snapshot.kpis if snapshot else None)
        self._labels = LabelDecisions(settings, profiles, self.quarantine, self._episodes, snapshot)

    @property
    def next_offset(self) -> int:
        """The offset of the first pane message not applied yet."""
        return self._offset

    @property
    def phase(self) -> Phase:
        """The state machine's state."""
        return self._episodes.state.phase

    @property
    def watermark_ms(self) -> int | None:
        """The event time all partitions have reached."""
        return self._watermark.current()

    def rebuild(self, offset: int, value: bytes | None) -> None:
        """Read a message from before the snapshot again, for the panes that were open then."""
        message = messages.decode(value)
        if offset < self._offset and isinstance(message, Counted):
            if message.last_offset < self._rebuilt.get(message.partition, 0):
                return
            self._rebuilt[message.partition] = message.last_offset + 1
            for delta in message.panes:
                if delta.pane >= self._windows.state.closed_before:
                    self._windows.add(delta, offset)

    def apply(self, offset: int, value: bytes | None) -> Outputs:
        """Take in the next message; one that was applied before changes nothing."""
        outputs = Outputs([], [])
        if offset < self._offset:
            return outputs
        self._offset = offset + 1
        message = messages.decode(value)
        if isinstance(message, Errors):
            self._errors(message, outputs)
            return outputs  # labels move no watermark, so nothing closes by them
        if isinstance(message, KpiSeen):
            outputs.events += self._kpi_events(self.kpis.measured(message.seen, offset))
            return outputs
        for told in self._take(message, offset):
            self._tell(told, outputs)
        current = self._watermark.current()
        if current is not None:
            self._close((current - self._settings.lateness_ms) // self._settings.pane_ms, outputs)
            if self._settings.provisional:
                self._look_ahead(current, outputs)
        return outputs

    def snapshot(self) -> bytes:
        """Everything but the open panes, as versioned JSON."""
        oldest = self._windows.oldest_offset()
        return msgspec.json.encode(
            Snapshot(
                offset=self._offset,
                replay_from=self._offset if oldest is None else oldest,
                watermark=self._watermark,
                windows=self._windows.saved(),
                episodes=self._episodes.state,
                read=self._read,
                last_window=self._last_window,
                last_index=self._last_index,
                steps=[pack_counts(step) for step in self._steps],
                look=self._ahead.last,
                quarantine=self.quarantine.state,
                harm=self.harm.state,
                age=self._ageing.state,
                labels=self._labels.state,
                kpis=self.kpis.state,
                fairness=self.fairness.state,
            )
        )

    def _take(self, message: PaneMessage, offset: int) -> list[Told]:
        if isinstance(message, Counted):
            self._count(message, offset)
        elif isinstance(message, Idle):
            self._watermark.follow(message.partition, message.partitions)
        elif isinstance(message, LabelsSeen):
            self._ageing.on_labels(message.panes)
            return self._episodes.on_labels(message.panes)
        elif isinstance(message, ModelMoved):
            return self._model_moved(message)
        return []

    def _count(self, message: Counted, offset: int) -> None:
        """Counts of offsets that were counted before are a second copy and are left out."""
        if message.last_offset < self._read.get(message.partition, 0):
            return
        self._read[message.partition] = message.last_offset + 1
        self._watermark.advance(message.partition, message.watermark, message.partitions)
        aside.put(self._windows.state.pending, message.aside)
        for delta in message.panes:
            self._windows.add(delta, offset)

    def _errors(self, message: Errors, outputs: Outputs) -> None:
        if self._labels.take(message):
            self.harm.restart()
        for seen in self.harm.add(message):
            told = [] if self._labels.broken(alarm=seen.alarm) else self._episodes.on_errors(seen)
            if seen.complete:
                outputs.events += self._performance(seen)
            for one in told:
                self._tell(one, outputs)
            self._restarted(told)
        self._episodes.state.errors_from = self.harm.first_pane
        for item in self._labels.told(self._windows.state.era, self.phase):
            outputs.events.append(item) if isinstance(item, DriftEvent) else self._tell(item, outputs)
        self._told_of_groups(self.fairness.add(message), self._windows.state.era, outputs)

    def _restarted(self, told: list[Told]) -> None:
        """What is judged in sequence begins anew when an episode is over."""
        if any(one.kind == "resolved" for one in told):
            self._steps = []
            self.harm.restart()

    def _model_moved(self, message: ModelMoved) -> list[Told]:
        event = message.event
        if event.model != self._settings.model:
            return []
        if event.kind in (ModelEventKind.PROMOTED, ModelEventKind.ROLLED_BACK):
            self._windows.know(event.version, event.generation)
        elif event.kind is ModelEventKind.REJECTED:
            return self._episodes.on_rejected(event.trigger_id, event.reason)
        return []

    def _close(self, pane: int, outputs: Outputs) -> None:
        for closed in self._windows.close_before(pane):
            self._ahead.over()
            if isinstance(closed, EraBegun):
                self._steps = []
                self.harm.begin(closed.era.version)
                self._ageing.begin(closed.era.version, closed.pane)
                self._labels.begin(closed.era.version)
                self._told_of_groups(self.fairness.begin(closed.era.version), closed.before, outputs)
                for told in self._episodes.on_era(first=not closed.before.generation):
                    self._tell(told, outputs, closed.before)
                outputs.events.append(self._era_event(closed))
            else:
                self._verdict(closed, outputs)

    def _verdict(self, filled: Filled, outputs: Outputs) -> None:
        verdict = self._judged(filled)
        self._last_window, self._last_index = verdict.judged.window, filled.index
        changes = self.quarantine.on_window(filled, verdict.judged, self._episodes)
        if not self.quarantine.held:
            self._steps = verdict.steps
        elif not self.quarantine.inputs_hold:
            self._steps = []
        told = self._episodes.on_verdict(self.quarantine.believed(verdict.judged))
        self._restarted(told)
        outputs.events.append(self._verdict_event(filled, verdict))
        outputs.events += [self._quality_event(filled, change) for change in changes]
        for one in told:
            self._tell(one, outputs, report=verdict.report)
        for one in self.quarantine.waits(self._episodes.state):
            self._tell(one, outputs)
        held, age = self.quarantine.held, self._ageing
        for aged in age.on_window(filled.era.version, filled.end_pane, self._episodes.state, held=held):
            outputs.requests += [aged.request] if aged.request else []
            outputs.events.append(self._event(aged.kind, filled.era, cause=AGE, phase=self.phase, detail=aged.detail))

    def _look_ahead(self, watermark_ms: int, outputs: Outputs) -> None:
        """Tell of the next window before it is final; but for the look's number, nothing is remembered of it."""
        filled = self._ahead.due(self._windows, watermark_ms)
        if filled is not None and self._ahead.last is not None:
            revision = self._ahead.last.revision
            outputs.events.append(self._verdict_event(filled, self._judged(filled), revision))

    def _judged(self, filled: Filled) -> Verdict:
        return self._judge.judge(filled, self._steps, where=self._episodes.state.episode is not None)

    def _verdict_event(self, filled: Filled, verdict: Verdict, revision: int | None = None) -> DriftEvent:
        episode = self._episodes.state.episode
        return self._event(
            "verdict",
            filled.era,
            phase=self.phase,
            cause=episode.cause if episode else self.quarantine.cause_of(verdict.judged),
            episode=episode.id if episode else "",
            status=FINAL if revision is None else PROVISIONAL,
            index=filled.index,
            **verdict.given(),
            detail=verdict.detail() | (self.quarantine.detail() if revision is None else {"revision": revision}),
        )

    def _quality_event(self, filled: Filled, change: Change) -> DriftEvent:
        found = {"cause": "quality", "episode": change.id, "p_value": change.p_value}
        return self._event(change.kind, filled.era, phase=self.phase, detail=change.detail, **found)

    def _era_event(self, begun: EraBegun) -> DriftEvent:
        start = begun.pane * self._settings.pane_ms
        detail = {"previous_version": begun.before.version, "previous_generation": begun.before.generation}
        return self._event("era", begun.era, phase=self.phase, window=Window(start, start, 0), index=-1, detail=detail)

    def _performance(self, seen: ErrorSeen) -> list[DriftEvent]:
        """A window of labels, and what it changes of the KPIs."""
        episode, era = self._episodes.state.episode, self._windows.state.era
        kpis, changes = self.kpis.take(seen.detail, era.version, seen.window.start)
        place: dict[str, Any] = {"window": seen.window, "index": seen.index}
        detail = seen.detail | {"alarm": seen.alarm, "grew": seen.grew, "policy": self._settings.rules.policy.name}
        found: dict[str, Any] = {"cause": episode.cause if episode else "", "episode": episode.id if episode else ""}
        detail |= self.quarantine.detail() | kpis
        event = self._event("performance", era, phase=self.phase, detail=detail, **found, **place)
        return [event, *self._kpi_events(changes, **place)]

    def _kpi_events(self, changes: list[Any], **place: Any) -> list[DriftEvent]:
        era, given = self._windows.state.era, {"phase": self.phase, "cause": "kpi"} | place
        return [self._event(kind, era, episode=episode, detail=detail, **given) for kind, episode, detail in changes]

    def _told_of_groups(self, told: Iterable[FairnessTold], era: Era, outputs: Outputs) -> None:
        outputs.events += [self._event(t.kind, era, phase=self.phase, detail=t.detail, **t.given()) for t in told]

    def _tell(self, told: Told, outputs: Outputs, era: Era | None = None, report: Report | None = None) -> None:
        if told.request is not None:
            outputs.requests.append(told.request)
        given: dict[str, Any] = told_of(told, report) | {"window": self._window_of(told), "phase": told.phase}
        outputs.events.append(self._event(told.kind, era or self._windows.state.era, **given))

    def _window_of(self, told: Told) -> Window:
        """An alert about errors or labels is of records older than the last window of inputs."""
        of_labels = told.kind == "alert" and told.episode.cause in OF_LABELS
        return told.episode.window if of_labels else self._last_window

    def _event(self, kind: str, era: Era, *, phase: Phase, detail: dict[str, Any], **given: Any) -> DriftEvent:
        given = {"window": self._last_window, "index": self._last_index} | given
        return event_of(self._settings, kind, era, phase=phase, detail=detail, given=given)
