"""One run: a version for a trigger, its gate, its promotion or rejection. Killed anywhere, the next run goes on there.

Steps, each exclusive in the registry and found by the trigger's id afterwards:
1. register the version (one per trigger; `find_trigger` finds it),
2. judge it against the champion of this moment, on fresh test rows,
3. move the alias from the generation that was judged (or note the rejection),
4. copy the truth to Redis and `model.events` (idempotent; anybody's housekeeping does it too).
A promotion found in the history is never repeated, even if somebody has rolled it back since.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import structlog

from longshore.columns import Floats
from longshore.config import Settings
from longshore.errors import ConflictError, FormatError, SignatureError
from longshore.records import ModelEventKind
from longshore.registry import MODEL_FILE, AliasRecord, Registry
from longshore.served_model import ServedModel
from longshore.signing import Keyring, Signer
from longshore.trainer.gate import Verdict, judge
from longshore.trainer.rows import LabelledRows
from longshore.trainer.split import group_codes
from longshore.trainer.training import ProfileBuilder, Report, TrainingSet, test_rows, train

CHAMPION = "champion"
ATTEMPTS = 5
"""Times the gate is passed again because the champion changed meanwhile."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: `promoted`, `rejected`, `superseded` or `failed`, and the reason in words and figures."""

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
            LongshoreError: the run could not be finished; what was done stays done, what was not is not half done.

        """
        version = self.registry.find_trigger(trigger_id)
        ended = None if version is None else self._ended(version, trigger_id)
        if version is None or ended is None:
            self.report("dataset", {})
            data = dataset()
            version = version or self._register(data, trigger_id, reason)
            ended = self._conclude(version, test_rows(data, self.settings.trainer), trigger_id)
        self.project()
        return ended

    def _register(self, data: TrainingSet, trigger_id: str, reason: str) -> str:
        made = train(data, self.settings.trainer, self.build_profile, self.report)
        self.report("register", {})
        manifest = {**made.manifest, "trigger_id": trigger_id, "actor": self.actor, "reason": reason}
        try:
            return self.registry.register(made.files, manifest, signer=self.signer)
        except ConflictError:
            found = self.registry.find_trigger(trigger_id)
            if found is None:
                raise
            return found

    def _ended(self, version: str, trigger_id: str) -> Outcome | None:
        """The outcome an earlier run of this trigger has already written into the registry."""
        metrics = self.registry.manifest(version)["metrics"]
        for record in self.registry.history():
            if record.trigger_id == trigger_id and record.kind is ModelEventKind.PROMOTED:
                return Outcome("promoted", record.reason, version, metrics)
        for event in self.registry.events():
            if event.kind is ModelEventKind.REJECTED and (event.version, event.trigger_id) == (version, trigger_id):
                return Outcome("rejected", event.reason, version, metrics)
        return None

    def _conclude(self, version: str, rows: LabelledRows, trigger_id: str) -> Outcome:
        """Gate and promote, again from the gate where the champion changed between the two."""
        manifest = self.registry.manifest(version)
        for _ in range(ATTEMPTS):
            champion = self.registry.alias()
            self.report("gate", {"version": version, "champion": champion.version if champion else None})
            verdict = self._judge(version, manifest, champion, rows)
            if not verdict.promoted:
                self.registry.record_rejection(version, trigger_id=trigger_id, actor=self.actor, reason=verdict.reason)
                return Outcome("rejected", verdict.reason, version, manifest["metrics"])
            self.report("promote", {"version": version, "reason": verdict.reason})
            try:
                self.registry.move_alias(
                    CHAMPION,
                    version,
                    expected_generation=champion.generation if champion else 0,
                    trigger_id=trigger_id,
                    actor=self.actor,
                    reason=verdict.reason,
                )
            except ConflictError as conflict:
                if ended := self._ended(version, trigger_id):
                    return ended
                log.warning("the champion changed during the gate", error=str(conflict))
            else:
                return Outcome("promoted", verdict.reason, version, manifest["metrics"])
        raise ConflictError(
            f"the champion changed {ATTEMPTS} times during the gate", mend="train again when it is calm"
        )

    def _judge(
        self, version: str, manifest: dict[str, Any], champion: AliasRecord | None, rows: LabelledRows
    ) -> Verdict:
        try:
            self._require_trust(version)
        except SignatureError as error:
            return Verdict(False, f"{version} would be refused where it is served: {error.what}", len(rows))
        try:
            champions = None if champion is None else self._champion_predict(champion.version, rows)
        except SignatureError as error:
            # Without a comparison nothing goes live by itself: it could be the worse one.
            mend = "sign it with `longshore model sign`, or promote by hand"
            return Verdict(False, f"the champion cannot be compared: {error.what}; {mend}", len(rows))
        return judge(
            self._predict(version, rows),
            champions,
            rows.target,
            group_codes(rows.columns.keys),
            margin=self.settings.trainer.margin,
            baseline=manifest["baseline"]["prediction"],
            champion_version=champion.version if champion else "",
        )

    def _predict(self, version: str, rows: LabelledRows) -> Floats:
        return ServedModel.load(self.registry.read(version, MODEL_FILE)).predict(rows.columns)

    def _require_trust(self, version: str) -> None:
        """SignatureError where a version may not be loaded: a resumed run's, too, was not made by this process."""
        if self.trusted is None or not (keys := self.trusted()).enforced:
            return
        manifest = self.registry.manifest(version)
        if manifest["version"] != version:
            raise SignatureError("bad_signature", f"{version} holds the manifest of {manifest['version']}")
        keys.verify(manifest, self.registry.notes.signatures(version))

    def _champion_predict(self, version: str, rows: LabelledRows) -> Floats | None:
        """None where the champion was made for another schema and cannot serve these rows.

        Raises:
            SignatureError: it may not be loaded.

        """
        self._require_trust(version)
        try:
            return self._predict(version, rows)
        except FormatError as error:
            log.warning("the champion cannot be compared", version=version, error=str(error))
            return None
