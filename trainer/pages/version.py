"""The files that go with a version for people to read, and the summary that the next version's set is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from longshore.columns import Floats
from longshore.trainer.pages.exploration import exploration
from longshore.trainer.pages.judged import Judged
from longshore.trainer.pages.names import CARD, EXPLORATION, REPORT, SUMMARY
from longshore.trainer.pages.report import Version, finite, report_of
from longshore.trainer.pages.summary import decode, encode, summarise
from longshore.trainer.rows import LabelledRows


def version_pages(
    fitted: LabelledRows,
    test: LabelledRows,
    served: Floats,
    manifest: Mapping[str, Any],
    *,
    sizes: Mapping[str, int],
    previous: bytes | None = None,
) -> dict[str, bytes]:
    """Names and contents of the files to register with a version.

    `fitted` are the fresh training rows, `served` the served model's predictions for the `test` rows, `manifest` as far
    as it is known before registering, `sizes` the bytes of the version's other files. `previous` is the last version's
    `summary.json`; one that is absent or cannot be read is not compared with. The same arguments give the same bytes.
    """
    summary = summarise(fitted)
    page = exploration(
        fitted, summary, decode(previous), source=str(manifest["dataset"]["source"]), held_back=len(test)
    )
    files = {EXPLORATION: page.encode(), SUMMARY: encode(summary)}
    if finite(served):
        made = report_of(Version(manifest, summary, Judged(test, served), sizes, _period(fitted)))
        files |= {REPORT: made.html().encode(), CARD: made.markdown().encode()}
    return files


def _period(rows: LabelledRows) -> tuple[int, int] | None:
    """The first and the last event time; None for rows of a file, which have none."""
    times = rows.columns.event_times
    return (int(times.min()), int(times.max())) if len(times) and times.any() else None
