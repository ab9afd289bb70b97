"""Where a run's rows come from: a file, the generator, the stream or a stored version; checked and stored first."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import structlog

from longshore.cli.app import App
from longshore.dataset import locate, read_csv
from longshore.errors import ConfigurationError, LongshoreError
from longshore.records import RetrainRequest
from longshore.registry import Registry
from longshore.schema import Schema, districts
from longshore.trainer.data_quality import check, check_readable
from longshore.trainer.dataset_stream import StreamDataset
from longshore.trainer.datasets import Datasets
from longshore.trainer.join import resolve_repeats
from longshore.trainer.rows import LabelledRows, from_frame, told
from longshore.trainer.service import wait_for_rows
from longshore.trainer.training_set import TrainingSet

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Intake:
    """One run's way to its rows, by whichever method fits; each returns them checked and stored as a version."""

    app: App
    registry: Registry
    trigger_id: str

    def from_file(self, data: Path | None, generated: int) -> TrainingSet:
        """The rows of the file that `data` or the settings lead to, or so many generated ones."""
        schema, settings = self.app.schema, self.app.settings
        path = locate(data, settings)
        if path is None:
            frame = _generated(schema, generated, settings.trainer.seed)
        else:
            frame = read_csv(path, schema, require_target=True)
        if len(frame) > settings.trainer.max_rows:
            click.echo(f"only the last {settings.trainer.max_rows:,} of {len(frame):,} rows are used", err=True)
            frame = frame.iloc[-settings.trainer.max_rows :]
        rows, counts, conflict = resolve_repeats(from_frame(frame, schema))
        left_out = {name: count for name in counts.__slots__ if (count := getattr(counts, name))}
        source = "generator" if path is None else f"file {path.name}"
        return self._kept(TrainingSet(rows.in_order(), source, left_out=left_out), conflict)

    def from_stream(self, cut_ms: int | None) -> TrainingSet:
        """The stream's labelled rows as they were known at `cut_ms` (None: now); a resumed run's are those it took."""
        if taken := self._taken():
            return taken
        stream = StreamDataset(self.app.settings, self.app.schema)
        cut_ms = self._now_ms() if cut_ms is None else cut_ms
        rows = stream.refresh(cut_ms)
        self._check_readable(stream)
        return self._kept(stream.training_set(rows, cut_ms=cut_ms), stream.join.conflict)

    def from_version(self, prefix: str) -> TrainingSet:
        """A stored version, to be trained on again."""
        datasets = Datasets.open(self.app.settings)
        dataset = datasets.resolve(prefix)
        rows, history = datasets.rows(dataset, self.app.schema)
        return self._kept(_assembled(rows, history, datasets.manifest(dataset)["origin"]), "")

    def for_request(
        self, stream: StreamDataset, request: RetrainRequest, check_stop: Callable[[], None], wait_s: float
    ) -> TrainingSet:
        """The stream's labelled rows since the drift began, once there are enough; the older ones as history."""
        if taken := self._taken():
            return taken
        found: list[TrainingSet] = []

        def ready() -> int:
            cut_ms = self._now_ms()
            found[:] = [stream.training_set(stream.refresh(cut_ms), request.window.start, cut_ms)]
            self._check_readable(stream)
            return len(found[0].rows)

        def why() -> str:
            reason = stream.join.predictions.reason or stream.join.labels.reason
            return told(found[0].left_out) + (f" (undecodable, for example: {reason})" if reason else "")

        wait_for_rows(ready, self.app.settings.trainer.min_rows, check=check_stop, wait_s=wait_s, why=why)
        return self._kept(found[0], stream.join.conflict)

    def _kept(self, found: TrainingSet, conflict: str) -> TrainingSet:
        """The training set, once it is checked and stored as a version."""
        settings = self.app.settings
        quality = check(found, settings.datasets, settings.trainer.min_rows, conflict=conflict)
        for remark in quality["remarks"]:
            log.info("about the data", remark=remark)
        datasets = Datasets.open(settings)
        origin = _origin(found, settings.trainer.max_rows)
        dataset = datasets.keep(found.rows, found.history, self.trigger_id, origin, quality)
        log.info("dataset stored", dataset=dataset, rows=len(found.rows), history=len(found.history or ()))
        self._collect(datasets, dataset)
        return replace(found, remarks=quality["remarks"])

    def _collect(self, datasets: Datasets, dataset: str) -> None:
        """Make room; a version a model was made from stays, and nothing goes where one cannot be told."""
        try:
            manifests = [self.registry.readable(version) for version in self.registry.versions()]
            if all(manifests):
                referenced = {str((manifest.get("dataset") or {}).get("sha256")) for manifest in manifests}
                if gone := datasets.collect(self.app.settings.datasets.keep, {dataset, *referenced}):
                    log.info("datasets removed", datasets=gone)
        except LongshoreError as error:
            log.warning("old datasets stay", error=str(error))

    def _taken(self) -> TrainingSet | None:
        """What an earlier start of this run took, if it got so far."""
        datasets = Datasets.open(self.app.settings)
        run = datasets.run(self.trigger_id)
        if run is None:
            return None
        log.info("dataset of the run's earlier start", dataset=run["dataset"])
        remarks = datasets.manifest(run["dataset"])["quality"]["remarks"]
        return _assembled(*datasets.rows(run["dataset"], self.app.schema), run["origin"], remarks)

    def _check_readable(self, stream: StreamDataset) -> None:
        limit = self.app.settings.datasets.max_undecodable
        check_readable("predictions' records", stream.join.predictions, limit)
        check_readable("labels", stream.join.labels, limit)

    def _now_ms(self) -> int | None:
        """The training cut: this moment, or none where event times are made up."""
        return round(time.time() * 1_000) if self.app.settings.datasets.clock == "wall" else None


def _origin(found: TrainingSet, max_rows: int) -> dict[str, Any]:
    return {
        "source": found.source,
        "offsets": found.offsets,
        "from_offsets": found.from_offsets,
        "cut": found.cut_ms,
        "fresh_from": found.fresh_from_ms,
        "max_rows": max_rows,
        "left_out": found.left_out,
    }


def _assembled(
    rows: LabelledRows, history: LabelledRows | None, origin: dict[str, Any], remarks: list[str] | None = None
) -> TrainingSet:
    return TrainingSet(
        rows=rows,
        source=origin["source"],
        history=history,
        offsets=origin["offsets"],
        left_out=origin["left_out"],
        from_offsets=origin["from_offsets"],
        cut_ms=origin["cut"],
        fresh_from_ms=origin["fresh_from"],
        remarks=remarks,
    )


def _generated(schema: Schema, rows: int, seed: int) -> Any:
    if schema.fingerprint() != districts().fingerprint():
        raise ConfigurationError(
            f"there is no generator for the schema {schema.name}", mend="name a CSV with --data, or use --from stream"
        )
    from longshore.producers.generator import history_frame  # noqa: PLC0415  (only where there is no data)

    return history_frame(rows, seed)
