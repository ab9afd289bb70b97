"""What the decider leaves on `drift.state` to go on from: everything it knows but the open panes. Versioned JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.errors import FormatError
from longshore.monitor.ageing import AgeState
from longshore.monitor.ahead import Look
from longshore.monitor.episodes import EpisodeState
from longshore.monitor.fairness_watch import FairnessState
from longshore.monitor.harm import HarmState
from longshore.monitor.kpis import KpiState
from longshore.monitor.label_watch import LabelState
from longshore.monitor.quarantine import QuarantineState
from longshore.monitor.watermark import Watermark
from longshore.monitor.window_parts import WindowState
from longshore.records import Window

FORMAT = 5


class Snapshot(msgspec.Struct):
    """All the decider knows but the open panes, which are read again from `replay_from` to `offset` − 1."""

    offset: int
    replay_from: int
    watermark: Watermark
    windows: WindowState
    episodes: EpisodeState
    read: dict[int, int]
    last_window: Window
    last_index: int
    steps: list[str] = []
    look: Look | None = None
    quarantine: QuarantineState | None = None
    harm: HarmState | None = None
    age: AgeState | None = None
    labels: LabelState | None = None
    kpis: dict[str, KpiState] | None = None
    fairness: FairnessState | None = None
    format: int = FORMAT

    @property
    def last(self) -> tuple[Window, int]:
        """The last window judged and its number."""
        return self.last_window, self.last_index

    @property
    def by_group(self) -> FairnessState:
        """What is known of groups; in a snapshot from before there was that, nothing of the present era."""
        return self.fairness or FairnessState(version=self.windows.era.version)


def load_snapshot(data: bytes) -> Snapshot:
    """A snapshot from its bytes.

    Raises:
        FormatError: damaged, or of a format newer than this program.

    """
    try:
        found = msgspec.json.decode(data, type=dict[str, Any]).get("format")
        # 1 had no steps, 2 no look, 3 neither quarantine nor harm, 4 no age, labels, KPIs and fairness.
        if found not in range(1, FORMAT + 1):
            raise FormatError(
                f"the drift snapshot has format {found}, this program reads 1 to {FORMAT}", mend="upgrade"
            )
        return msgspec.json.decode(data, type=Snapshot)
    except msgspec.MsgspecError as error:
        raise FormatError(f"the drift snapshot is damaged: {error}", mend="see docs/drift.md on rebuilding") from error
