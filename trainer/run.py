"""One run: a version for a trigger, its gate, its promotion or rejection. Killed anywhere, the next run goes on there.

Steps, each exclusive in the registry and found by the trigger's id afterwards:
1. register the version (one per trigger; `find_trigger` finds it),
2. judge it against the champion of this moment, and note the verdict with every check (one per champion's generation;
   a resumed run follows it),
3. move the alias from the generation that was judged, or note the rejection, or ask a person (alias `challenger`),
4. copy the truth to Redis and `model.events` (idempotent; anybody's housekeeping does it too).
A promotion found in the history is never repeated, even if somebody has rolled it back since. What waits for a person
waits: no run, resumed or repeated, promotes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import structlog

from longshore.config import Settings
from longshore.errors import ConfigurationError, ConflictError, DataError, LongshoreError
from longshore.records import ModelEventKind
from longshore.registry import AliasRecord, Registry
from longshore.registry.catalog import CHALLENGER, CHAMPION
from longshore.registry.formats import Judgement, Rejection
from longshore.schema import Schema
from longshore.signing import Keyring, Signer
from longshore.trainer import framing
from longshore.trainer.gate import Decision
from longshore.trainer.judging import Judging
from longshore.trainer.making import Report
from longshore.trainer.pages.names import SUMMARY
from longshore.trainer.training import ProfileBuilder, train
from longshore.trainer.training_set import TrainingSet

ATTEMPTS = 5
"""Times the gate is passed again because the champion changed meanwhile."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: `promoted`, `rejected`, `awaiting_approval`, `superseded` or `failed`, with the reason."""

    status: str
    reason: str
    version: str | None = None
    metrics: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the registry's outcome of a request."""
        return {**asdict(self), "promoted": self.status == "promoted"}


@dataclass(frozen=True, slots=True)
class Trainer:
    """What every run needs: settings, the registry, the monitor's profile builder, who acts, and who signs.

    `trusted`: the keys a champion must be signed with before it is loaded to be compared with (None: any is loaded).
    """

    settings: Settings
    registry: Registry
    build_profile: ProfileBuilder
    project: Callable[[], object]
    actor: str
    report: Report
    signer: Signer | None = None
    trusted: Callable[[], Keyring] | None = None

    def run(self, trigger_id: str, dataset: Callable[[], TrainingSet], *, reason: str = "") -> Outcome:
        """Bring a trigger to its end from wherever an earlier run of it stopped.

        `dataset` is called only if rows are still needed. `reason` says why this version is made.

        Raises:
            DataError: the rows were refused, which the registry and `model.events` then tell, with the reason.
            LongshoreError: the run could not be finished; what was done stays done, what was not is not half done.

        """
        version = self.registry.find_trigger(trigger_id)
        ended = None if version is None else self._ended(version, trigger_id)
        if version is None or ended is None:
            self.report("dataset", {})
            try:
                data = dataset()
                version = version or self._register(data, trigger_id, reason)
            except DataError as error:
                self._refuse(trigger_id, str(error))
                raise
            ended = self._conclude(version, data, trigger_id)
        self.project()
        return ended

    def _refuse(self, trigger_id: str, reason: str) -> None:
        """Note that a request came to no version because of its data: a rejection as well, so that nobody waits."""
        now_ms = round(time.time() * 1_000)
        self.registry.notes.reject(
            Rejection(version="", trigger_id=trigger_id, actor=self.actor, reason=reason, time=now_ms)
        )
        self.project()

    def _register(self, data: TrainingSet, trigger_id: str, reason: str) -> str:
        asked = self._framing(data.rows.columns.schema)
        kept, previous = str(self.settings.home / "search"), self._previous_summary()
        made = train(
            data, self.settings.trainer, self.build_profile, self.report, kept=kept, asked=asked, previous=previous
        )
        self.report("register", {})
        manifest = {**made.manifest, "trigger_id": trigger_id, "actor": self.actor, "reason": reason}
        try:
            return self.registry.register(made.files, manifest, signer=self.signer)
        except ConflictError:
            found = self.registry.find_trigger(trigger_id)
            if found is None:
                raise
            return found

    def _previous_summary(self) -> bytes | None:
        """The last training set in figures; None where there is none. A damaged version is passed over."""
        for version in reversed(self.registry.versions()):
            try:
                if SUMMARY in self.registry.manifest(version)["files"]:
                    return self.registry.read(version, SUMMARY)
            except LongshoreError as error:
                if error.retriable:
                    raise
        return None

    def _framing(self, schema: Schema) -> framing.Framing | None:
        """What the setting `trainer.framing` names; read before anything is fitted."""
        path = self.settings.trainer.framing
        if path is None:
            return None
        try:
            return framing.parse(path.read_text(encoding="utf-8"), str(path), schema)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"framing file {path}: {error}", mend="name a readable TOML file") from error

    def _ended(self, version: str, trigger_id: str) -> Outcome | None:
        """The outcome an earlier run of this trigger, or a person, has already written into the registry."""
        metrics = self.registry.manifest(version)["metrics"]
        for record in self.registry.history():
            if record.trigger_id == trigger_id and record.kind is ModelEventKind.PROMOTED:
                return Outcome("promoted", record.reason, version, metrics)
        for event in self.registry.events():
            if event.kind is ModelEventKind.REJECTED and (event.version, event.trigger_id) == (version, trigger_id):
                return Outcome("rejected", event.reason, version, metrics)
        for record in self.registry.history(CHALLENGER):
            if (record.version, record.trigger_id) == (version, trigger_id):
                return Outcome("awaiting_approval", record.reason, version, metrics)
        return None

    def _conclude(self, version: str, data: TrainingSet, trigger_id: str) -> Outcome:
        """Gate and act on it, again from the gate where the champion changed between the two."""
        metrics = self.registry.manifest(version)["metrics"]
        for _ in range(ATTEMPTS):
            champion = self.registry.alias()
            self.report("gate", {"version": version, "champion": champion.version if champion else None})
            judged = self._judged(version, champion, data, trigger_id)
            if judged.decision == Decision.REJECT:
                self.registry.record_rejection(version, trigger_id=trigger_id, actor=self.actor, reason=judged.reason)
                return Outcome("rejected", judged.reason, version, metrics)
            if judged.decision == Decision.ASK:
                self._ask(version, trigger_id, judged.reason)
                return Outcome("awaiting_approval", judged.reason, version, metrics)
            self.report("promote", {"version": version, "reason": judged.reason})
            try:
                self._move(CHAMPION, version, judged.generation, trigger_id, judged.reason)
            except ConflictError as conflict:
                if ended := self._ended(version, trigger_id):
                    return ended
                log.warning("the champion changed during the gate", error=str(conflict))
            else:
                return Outcome("promoted", judged.reason, version, metrics)
        raise ConflictError(
            f"the champion changed {ATTEMPTS} times during the gate", mend="train again when it is calm"
        )

    def _judged(self, version: str, champion: AliasRecord | None, data: TrainingSet, trigger_id: str) -> Judgement:
        """The verdict that was noted for this generation of the champion, else one now, which is noted."""
        generation = champion.generation if champion else 0
        for noted in self.registry.notes.judgements(version):
            if noted.generation == generation:
                return noted
        judging = Judging(self.registry, self.settings.trainer, self.trusted)
        verdict = judging.verdict(version, champion.version if champion else None, data)
        record = Judgement(
            version=version,
            champion=champion.version if champion else "",
            generation=generation,
            trigger_id=trigger_id,
            actor=self.actor,
            decision=verdict.decision.value,
            reason=verdict.reason,
            checks=verdict.listed(),
            time=round(time.time() * 1_000),
        )
        return self.registry.notes.judge(record)

    def _ask(self, version: str, trigger_id: str, reason: str) -> None:
        """Point the alias `challenger` at the version, whichever others ask meanwhile."""
        while version not in {record.version for record in self.registry.history(CHALLENGER)}:
            last = self.registry.alias(CHALLENGER)
            try:
                self._move(
                    CHALLENGER,
                    version,
                    last.generation if last else 0,
                    trigger_id,
                    reason,
                    kind=ModelEventKind.AWAITING_APPROVAL,
                )
            except ConflictError as conflict:
                log.warning("another version asks for approval too", error=str(conflict))

    def _move(
        self,
        alias: str,
        version: str,
        generation: int,
        trigger_id: str,
        reason: str,
        *,
        kind: ModelEventKind = ModelEventKind.PROMOTED,
    ) -> None:
        self.registry.move_alias(
            alias,
            version,
            expected_generation=generation,
            trigger_id=trigger_id,
            actor=self.actor,
            reason=reason,
            kind=kind,
        )
