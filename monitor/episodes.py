"""From verdicts to alerts, requests and their end: the state machine. Pure; it knows windows, labels and outcomes only.

    ok ⇄ warning → alarm → awaiting_labels ⇄ retraining → cooldown → ok

K of the last M windows must alarm before an episode opens: one alert and one request for each. It ends when a newer
model's era begins, or when M windows in a row are calm, by a far wider level than the one that alarms.
"""

from __future__ import annotations

from typing import Any

from longshore.monitor.episode_state import Episode, EpisodeState, Judged, Phase, Rules, Told, cause_of, digest_of
from longshore.monitor.harm import ErrorSeen
from longshore.monitor.policy import CONCEPT, LABEL, OF_LABELS
from longshore.records import RetrainRequest, Window

__all__ = ["Episode", "EpisodeState", "Episodes", "Judged", "Phase", "Rules", "Told"]


class Episodes:
    """Moves the state by verdicts, labels, eras and rejections; each call returns what is to be told.

    While it is `held` (`longshore.monitor.quarantine`), no request goes out and an open episode neither asks nor ends.
    """

    def __init__(self, rules: Rules, state: EpisodeState | None = None) -> None:
        self._rules = rules
        self.state = state or EpisodeState()
        self.held = False

    def on_verdict(self, verdict: Judged) -> list[Told]:
        """A closed window was judged."""
        state = self.state
        state.now = max(state.now, verdict.window.end)
        if state.phase is Phase.COOLDOWN:
            state.cooldown_left -= 1
            if state.cooldown_left <= 0:
                state.phase = Phase.OK
            return []
        if self.held and state.episode is not None:
            return []
        state.recent = [*state.recent, verdict][-self._rules.among :]
        told = self._without_episode(verdict) if state.episode is None else self._within(state.episode)
        self._forget_labels()
        return told

    def on_labels(self, seen: list[tuple[int, int]]) -> list[Told]:
        """Labels arrived, as pairs (pane, number)."""
        oldest = self._oldest_pane()
        for pane, number in seen:
            if pane >= oldest:
                self.state.labels[pane] = self.state.labels.get(pane, 0) + number
        return self._ask() if self.state.phase is Phase.AWAITING_LABELS else []

    def on_rejected(self, trigger_id: str, reason: str) -> list[Told]:
        """A challenger was turned down: the attempt is over, the next waits for a back-off and for new labels."""
        episode = self.state.episode
        if episode is None or episode.trigger_id != trigger_id or self.state.phase is not Phase.RETRAINING:
            return []
        self.state.phase = Phase.AWAITING_LABELS
        detail = {"reason": reason, "trigger_id": trigger_id, "attempt": episode.attempt}
        told = Told("attempt_closed", detail, episode.copy(), self.state.phase)
        episode.back_off = self._rules.cooldown_windows * 2 ** min(episode.attempt - 1, 10)
        episode.labels_base = self._fresh_labels(episode)
        episode.attempt += 1
        episode.trigger_id = ""
        return [told]

    def on_era(self, *, first: bool) -> list[Told]:
        """A newer model's records are judged from here on; the very first era needs no cooldown."""
        state, told = self.state, []
        if state.episode is not None:
            told = self._resolve(state.episode, "a newer model's era began")
        state.harm, state.errors_from, state.calm_until = {}, -1, 0
        state.recent, state.recent_labels = [], []
        state.cooldown_left = 0 if first else self._rules.cooldown_windows
        state.phase = Phase.COOLDOWN if state.cooldown_left else Phase.OK
        return told

    def on_errors(self, seen: ErrorSeen) -> list[Told]:
        """Labels say how the error stands: at the end of a window of labels, or because the loss test alarms."""
        state = self.state
        state.now = max(state.now, seen.window.end)
        harmful = seen.alarm or seen.grew
        state.harm = seen.evidence if harmful else {}
        if seen.complete and seen.calm:
            state.calm_until = max(state.calm_until, seen.window.end)
        if state.phase is Phase.COOLDOWN:
            return []
        if state.episode is None:
            return self._open_concept(seen) if seen.alarm else []
        return self._errors_within(state.episode, seen, harmful=harmful)

    def on_label_window(self, seen: Judged) -> list[Told]:
        """A window of labels was judged by itself: whether they are distributed as the training target was."""
        state = self.state
        state.now = max(state.now, seen.window.end)
        if state.phase is Phase.COOLDOWN or self.held:
            return []
        state.recent_labels = [*state.recent_labels, seen][-self._rules.among :]
        if state.episode is None:
            alarming = [judged for judged in state.recent_labels if judged.alarm]
            return self._open(alarming, LABEL) if len(alarming) >= self._rules.needed and seen.alarm else []
        if state.episode.cause != LABEL or state.phase is Phase.RETRAINING:
            return []
        if len(state.recent_labels) == self._rules.among and all(judged.calm for judged in state.recent_labels):
            told = self._resolve(state.episode, f"{self._rules.among} calm windows of labels in a row")
            state.phase, state.recent_labels = Phase.OK, []
            return told
        return self._ask() or self._await_once(state.episode)

    def forget_fresh(self) -> None:
        """The labels so far were broken: none of them counts as fresh, nor their drift."""
        self.state.labels, self.state.recent_labels = {}, []
        if self.state.episode is not None:
            self.state.episode.labels_base = 0

    def _open_concept(self, seen: ErrorSeen) -> list[Told]:
        """The loss test's own run length is what pages a person: its alarm needs no other window beside it.

        The streams are those of the last window of inputs: whether these have moved as well is in them.
        """
        episode = Episode(
            id=digest_of("episode", seen.version, str(seen.first_pane), CONCEPT),
            version=seen.version,
            cause=CONCEPT,
            first_pane=seen.first_pane,
            window=seen.since,
            streams=self.state.recent[-1].streams if self.state.recent else [],
            harm=seen.evidence,
        )
        self.state.episode = episode
        return self._opened(episode, {"windows": 0} | seen.detail)

    def _errors_within(self, episode: Episode, seen: ErrorSeen, *, harmful: bool) -> list[Told]:
        """An episode lasts: the error may have grown beside the drift, or be back where it was."""
        told: list[Told] = []
        if harmful:
            self._harmful_from(episode, seen.first_pane)
            first, episode.harm, episode.calm_errors = not episode.harm, seen.evidence, 0
            if first:
                told = [Told("error_grew", seen.detail, episode.copy(), self.state.phase)]
        elif seen.complete and seen.calm:
            episode.calm_errors += 1
        elif seen.complete:
            episode.calm_errors = 0
        if self.held or self.state.phase is Phase.RETRAINING:
            return told
        if episode.cause == CONCEPT and episode.calm_errors >= self._rules.among:
            told += self._resolve(
                episode, f"the error was as validated in {self._rules.among} windows of labels in a row"
            )
            self.state.phase, self.state.recent = Phase.OK, []
            return told
        return told + (self._ask() or self._await_once(episode))

    def _without_episode(self, verdict: Judged) -> list[Told]:
        alarming = [judged for judged in self.state.recent if judged.alarm]
        if len(alarming) < self._rules.needed or not verdict.alarm:
            self.state.phase = Phase.WARNING if alarming else Phase.OK
            return []
        return self._open(alarming, cause_of(alarming))

    def _open(self, alarming: list[Judged], cause: str) -> list[Told]:
        """An episode of windows that alarm, the last one being the newest of all."""
        first, last = alarming[0], alarming[-1]
        parts = (first.version, str(first.first_pane), *([cause] if cause == LABEL else []))
        episode = Episode(
            id=digest_of("episode", *parts),
            version=first.version,
            cause=cause,
            first_pane=first.first_pane,
            window=Window(first.window.start, last.window.end, sum(j.window.records for j in alarming)),
            streams=last.streams,
            harm=self.state.harm or ({} if cause == LABEL else self._expected_harm()),
        )
        self.state.episode = episode
        return self._opened(episode, {"windows": len(alarming)})

    def _opened(self, episode: Episode, detail: dict[str, Any]) -> list[Told]:
        self.state.phase = Phase.ALARM
        alert = Told("alert", detail, episode.copy(), Phase.ALARM)
        return [alert, *(self._ask() or self._await_once(episode))]

    def _within(self, episode: Episode) -> list[Told]:
        state = self.state
        if state.phase is Phase.RETRAINING:
            return []
        full = len(state.recent) == self._rules.among
        if episode.cause not in OF_LABELS and full and all(judged.calm for judged in state.recent):
            told = self._resolve(episode, f"{self._rules.among} calm windows in a row")
            state.phase, state.recent = Phase.OK, []
            return told
        episode.back_off = max(0, episode.back_off - 1)
        told = []
        if not episode.harm and (expected := self._expected_harm()):
            episode.harm = expected
            told = [Told("error_grew", expected, episode.copy(), state.phase)]
        return told + (self._ask() or self._await_once(episode))

    def _expected_harm(self) -> dict[str, Any]:
        """The last estimate, where so many windows' estimates have grown as open an episode, and no label denies it."""
        of = [judged for judged in self.state.recent if judged.window.start >= self.state.calm_until]
        grown = [judged.expected for judged in of if judged.expected]
        return {"estimate": grown[-1]} if len(grown) >= self._rules.needed else {}

    def _await_once(self, episode: Episode) -> list[Told]:
        """Waits for labels, where they are all that is missing."""
        if self.state.phase is not Phase.ALARM or not self._may_ask(episode) or episode.held:
            return []
        self.state.phase = Phase.AWAITING_LABELS
        fresh = self._fresh_labels(episode) - episode.labels_base
        detail = {"fresh_labels": fresh, "needed": self._rules.min_fresh_labels}
        return [Told("awaiting_labels", detail, episode.copy(), self.state.phase)]

    def _ask(self) -> list[Told]:
        """The request, where labels suffice, the back-off is over and the drift is still there."""
        episode = self.state.episode
        if self.held or episode is None or episode.back_off:
            return []
        if not self._lasts(episode) or not self._may_ask(episode):
            return []
        have = self._fresh_labels(episode) - episode.labels_base
        if have < self._rules.min_fresh_labels:
            return []
        if self._rules.policy.spent(self.state.asked, self.state.now):
            return self._hold(episode)
        parts = (episode.version, episode.cause, str(episode.first_pane), str(episode.attempt))
        episode.trigger_id = digest_of(*parts)
        request = RetrainRequest(
            trigger_id=episode.trigger_id,
            cause=episode.cause,
            model_version=episode.version,
            window=episode.window,
            streams=episode.streams,
            episode=episode.id,
            attempt=episode.attempt,
            evidence={"fresh_labels": have, "policy": self._rules.policy.name} | episode.harm,
        )
        detail = {"trigger_id": episode.trigger_id, "attempt": episode.attempt, "fresh_labels": have}
        if self._rules.policy.dry_run:
            return [Told("would_request", detail | {"evidence": request.evidence}, episode.copy(), self.state.phase)]
        self.state.phase, episode.held = Phase.RETRAINING, False
        self.state.asked = [*self._rules.policy.within_days(self.state.asked, self.state.now), self.state.now]
        return [Told("retraining", detail, episode.copy(), self.state.phase, request)]

    def _may_ask(self, episode: Episode) -> bool:
        """Whether the policy lets it ask; a dry run asks once."""
        if self._rules.policy.dry_run and episode.trigger_id:
            return False
        return self._rules.policy.allows(episode.cause, harm=bool(episode.harm) and not episode.calm_errors)

    def _lasts(self, episode: Episode) -> bool:
        """Whether what opened it was still there in the last window."""
        if episode.cause == CONCEPT:
            return not episode.calm_errors
        if episode.cause == LABEL:
            return bool(self.state.recent_labels) and not self.state.recent_labels[-1].calm
        return bool(self.state.recent) and not self.state.recent[-1].calm

    def _hold(self, episode: Episode) -> list[Told]:
        """The budget is spent: told once, asked for when there is some again."""
        if episode.held:
            return []
        episode.held = True
        policy, state = self._rules.policy, self.state
        asked = len(policy.within_days(state.asked, state.now))
        detail = {"requests": asked, "budget": policy.budget, "days": policy.budget_days}
        return [Told("over_budget", detail, episode.copy(), state.phase)]

    def _resolve(self, episode: Episode, reason: str) -> list[Told]:
        self.state.episode = None
        return [Told("resolved", {"reason": reason}, episode.copy(), Phase.OK)]

    def _fresh_labels(self, episode: Episode) -> int:
        return sum(n for pane, n in self.state.labels.items() if pane >= max(episode.first_pane, episode.harm_from))

    def _harmful_from(self, episode: Episode, pane: int) -> None:
        """Where only harm lets it ask, labels from before the harm teach nothing of what they are asked for."""
        if self._rules.policy.needs_harm(episode.cause) and (episode.calm_errors or not episode.harm):
            episode.harm_from = pane
            episode.labels_base = self._fresh_labels(episode) if episode.attempt > 1 else 0

    def _oldest_pane(self) -> int:
        state = self.state
        if state.episode is not None:
            return state.episode.first_pane
        oldest = [state.recent[0].first_pane] if state.recent else []
        oldest += [judged.first_pane for judged in state.recent_labels if judged.alarm][:1]
        return min(oldest + ([state.errors_from] if state.errors_from >= 0 else []), default=0)

    def _forget_labels(self) -> None:
        oldest = self._oldest_pane()
        self.state.labels = {pane: number for pane, number in self.state.labels.items() if pane >= oldest}
