"""What a verdict's estimate says, in a sentence: the error as it is expected without labels, never as it was."""

from __future__ import annotations

from typing import Any

from longshore.pages.wording import share_text, value_text
from longshore.records import DriftEvent


def estimate_text(event: DriftEvent) -> str:
    """Of a verdict's window; empty where the version has no loss regressor, or an older monitor told of it."""
    found: dict[str, Any] | None = event.detail.get("estimate")
    if not found:
        return ""
    range_ = f"{value_text(found['low'])} to {value_text(found['high'])}"
    told = f"Mean |error| expected without labels: {value_text(found['mae'])} ({range_})"
    told += f", {found['ratio']:.2f} times validation's"
    outside = f"{share_text(found['out_of_support'])} of the records are outside of what the model knows"
    if found["unreliable"]:
        return f"{told}; unreliable: {outside}"
    return f"{told}{'; it grew' if found['grew'] else ''}; {outside}"
