"""What one version is made of: labelled rows, and where they came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from longshore.trainer.rows import LabelledRows, content_sha256


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Fresh `rows`, which are split and judged on, and older `history`, which may help to fit.

    Where they come from the stream: what was read of each topic and partition, `from_offsets` up to `offsets`
    (exclusive); `cut_ms`, after which nothing counts; `fresh_from_ms`, the first event time that is not history.
    `remarks` are what is to be said of the data, in words (None: nobody looked).
    """

    rows: LabelledRows
    source: str
    history: LabelledRows | None = None
    offsets: dict[str, dict[str, int]] | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    from_offsets: dict[str, dict[str, int]] | None = None
    cut_ms: int | None = None
    fresh_from_ms: int = 0
    remarks: list[str] | None = None

    def sha256(self) -> str:
        """The hash of all rows, history among them: the name of the dataset's version."""
        return content_sha256(self.rows, self.history)

    def described(self) -> dict[str, Any]:
        """For the manifest of the version that is made of it: what the dataset is called, and where it is from."""
        history = 0 if self.history is None else len(self.history)
        found: dict[str, Any] = {"sha256": self.sha256(), "rows": len(self.rows) + history, "source": self.source}
        if self.offsets is not None:
            found |= {"offsets": self.offsets, "history": history, "left_out": self.left_out, "cut": self.cut_ms}
        return found if self.remarks is None else {**found, "quality": {"remarks": self.remarks}}
