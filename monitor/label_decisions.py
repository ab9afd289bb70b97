"""What the decider makes of labels as such: their windows' verdicts to events, quarantine and episodes. Pure.

Faults go first, or the loss test would take broken labels for a broken model: as it alarms, the newest labels are asked
whether they are broken, though their window is not complete. Drift of labels goes last: a relation that changed moves
labels, too, and then the errors are the news. Judging is `label_watch`'s work.
"""

from __future__ import annotations

from collections.abc import Iterator

from longshore.monitor.deciding import DeciderSettings, event_of
from longshore.monitor.episodes import Episodes, Phase, Told
from longshore.monitor.label_watch import LabelsSeen, LabelState, LabelWatch
from longshore.monitor.messages import Errors
from longshore.monitor.models import Profiles
from longshore.monitor.quality.faults import Fault
from longshore.monitor.quarantine import Change, Quarantine
from longshore.monitor.snapshots import Snapshot
from longshore.monitor.window_parts import Era
from longshore.records import DriftEvent, Window


class LabelDecisions:
    """Between two calls of `told` it gathers what is to be told of one message."""

    def __init__(
        self, settings: DeciderSettings, profiles: Profiles, quarantine: Quarantine, episodes: Episodes,
        snapshot: Snapshot | None,
    ) -> None:  # fmt: skip
        self._settings, self._quarantine, self._episodes = settings, quarantine, episodes
        self._watch = LabelWatch(settings.labels, profiles, settings.pane_ms, snapshot.labels if snapshot else None)
        if snapshot and snapshot.labels is None:  # from before they were judged
            self._watch.begin(snapshot.windows.era.version)
        self._seen: list[LabelsSeen] = []
        self._changes: list[tuple[Change, Window]] = []

    @property
    def state(self) -> LabelState:
        """For a snapshot."""
        return self._watch.state

    def begin(self, version: str) -> None:
        """A version's era begins."""
        self._watch.begin(version)

    def take(self, message: Errors) -> bool:
        """Judge the windows that a message completes; whether labels were broken, and by it are no more."""
        before = self._quarantine.labels_broken
        for seen in self._watch.add(message):
            self._seen.append(seen)
            self._fault(seen.faults, seen.judged.window)
        return before and not self._quarantine.labels_broken

    def broken(self, *, alarm: bool) -> bool:
        """Whether errors are not to be believed; with an `alarm` of the loss test the newest labels are asked, too."""
        if alarm and not self._quarantine.labels_broken and (found := self._watch.broken_lately()):
            self._fault(found, self._watch.lately)
        return self._quarantine.labels_broken

    def told(self, era: Era, phase: Phase) -> Iterator[DriftEvent | Told]:
        """What is to be told, in order."""
        seen, changes = self._seen, self._changes
        self._seen, self._changes = [], []
        for change, window in changes:
            given = {"window": window, "index": -1, "cause": "quality", "episode": change.id, "p_value": change.p_value}
            yield event_of(self._settings, change.kind, era, phase=phase, detail=change.detail, given=given)
        for one in seen:
            yield self._event(one, era, phase)
            if not one.faults:
                yield from self._episodes.on_label_window(one.judged)
        yield from self._quarantine.waits(self._episodes.state)

    def _fault(self, found: list[Fault], window: Window) -> None:
        version = self._watch.state.version
        changes = self._quarantine.on_labels(found, window.start, version, self._episodes)
        self._changes += [(change, window) for change in changes]

    def _event(self, seen: LabelsSeen, era: Era, phase: Phase) -> DriftEvent:
        episode, judged = self._episodes.state.episode, seen.judged
        given = {
            "window": judged.window,
            "index": seen.index,
            "cause": episode.cause if episode else "",
            "episode": episode.id if episode else "",
            "p_value": judged.streams[0].p_value if judged.streams else 1.0,
            "streams": judged.streams,
        }
        detail = seen.detail | {"faults": [list(fault.name) for fault in seen.faults]}
        return event_of(self._settings, "labels", era, phase=phase, detail=detail, given=given)
