"""Monitor: counts predictions into panes and decides on drift.

`Reference` is the library's face: the same engine on any DataFrame, without Kafka. It is imported on first use, so
that importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from longshore.monitor.reference import Reference
    from longshore.monitor.report import Report, StreamReport

__all__ = ["Reference", "Report", "StreamReport"]


def __getattr__(name: str) -> Any:
    if name == "Reference":
        from longshore.monitor.reference import Reference  # noqa: PLC0415

        return Reference
    if name in {"Report", "StreamReport"}:
        from longshore.monitor import report  # noqa: PLC0415

        return getattr(report, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
