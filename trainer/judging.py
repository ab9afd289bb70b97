"""The gate's evidence: both models loaded as they are served, asked for the same rows, and one of them timed.

A shell over the registry and the clock. Rows are those whose entity no version at hand was ever fitted on, fresh and of
history; what the evidence leads to is `longshore.trainer.gate`'s decision.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import structlog

from longshore.columns import Columns
from longshore.config import TrainerSettings
from longshore.errors import FormatError, SignatureError
from longshore.registry import MODEL_FILE, Registry
from longshore.served_model import Served, ServedModel
from longshore.signing import Keyring
from longshore.trainer.gate import Decision, Evidence, Verdict, judge
from longshore.trainer.rows import LabelledRows
from longshore.trainer.split import test_mask
from longshore.trainer.training_set import TrainingSet

CALLS, ROUNDS = 67, 3
"""Single-row calls whose median is one measurement; the best of so many: other load only ever adds time."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Judging:
    """Judges versions of a registry.

    `trusted`: the keys a model must be signed with before it is loaded (None: any is loaded).
    """

    registry: Registry
    settings: TrainerSettings
    trusted: Callable[[], Keyring] | None = None

    def verdict(self, version: str, champion: str | None, data: TrainingSet) -> Verdict:
        """The gate's verdict on a version against a champion (None: there is none)."""
        try:
            self._require_trust(version)
        except SignatureError as error:
            return Verdict(Decision.REJECT, f"{version} would be refused where it is served: {error.what}")
        try:
            incumbent = None if champion is None else self._loaded(champion)
        except SignatureError as error:
            # Without a comparison nothing goes live by itself: it could be the worse one.
            mend = "sign it with `longshore model sign`, or promote by hand"
            return Verdict(Decision.REJECT, f"the champion cannot be compared: {error.what}; {mend}")
        model, manifest = ServedModel.load(self.registry.read(version, MODEL_FILE)), self.registry.manifest(version)
        share = self._test_share(version, champion)
        fresh = _held_back(data.rows, share)
        past = None if data.history is None else _held_back(data.history, share)
        return judge(
            _evidence(model, incumbent, fresh),
            manifest,
            self.settings,
            history=None if past is None or not len(past) else _evidence(model, incumbent, past),
            champion_version=champion or "",
            latency_ms=single_row_ms(model, fresh.columns),
            predict=model.predict,
        )

    def _test_share(self, *versions: str | None) -> float:
        """The least share held back by any of them: a larger one now would hold rows that a champion was fitted on."""
        splits = [self.registry.manifest(version).get("split", {}) for version in versions if version]
        return min([self.settings.test_share, *(float(each["test_share"]) for each in splits if "test_share" in each)])

    def _require_trust(self, version: str) -> None:
        """SignatureError where a version may not be loaded: a resumed run's, too, was not made by this process."""
        if self.trusted is None or not (keys := self.trusted()).enforced:
            return
        manifest = self.registry.manifest(version)
        if manifest["version"] != version:
            raise SignatureError("bad_signature", f"{version} holds the manifest of {manifest['version']}")
        keys.verify(manifest, self.registry.notes.signatures(version))

    def _loaded(self, version: str) -> Served:
        self._require_trust(version)
        return ServedModel.load(self.registry.read(version, MODEL_FILE))


def single_row_ms(model: Served, columns: Columns) -> float | None:
    """The median time of a call with one row, in ms, the way a scorer makes it; None without a row."""
    if not len(columns):
        return None
    ones = [columns.take(np.array([i % len(columns)])) for i in range(CALLS)]
    medians = []
    for _ in range(ROUNDS):
        times = []
        for one in ones:
            began = time.perf_counter()
            model.predict(one)
            times.append(time.perf_counter() - began)
        medians.append(statistics.median(times))
    return 1_000 * min(medians)


def _held_back(rows: LabelledRows, share: float) -> LabelledRows:
    return rows.split(test_mask(rows.columns.keys, share))[1]


def _evidence(model: Served, incumbent: Served | None, rows: LabelledRows) -> Evidence:
    champions = None
    if incumbent is not None:
        try:
            champions = incumbent.predict(rows.columns)
        except FormatError as error:
            log.warning("the champion cannot be compared", error=str(error))
    return Evidence.of(rows, model.predict(rows.columns), champions)
