"""What windows are made of, and what comes of them: plain values between `longshore.monitor.windows` and its users."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from longshore.monitor.aside import NO_ASIDE, Aside
from longshore.monitor.estimate import NOTHING as NO_ESTIMATE
from longshore.monitor.estimate import Totals
from longshore.monitor.identities import IdSketch
from longshore.monitor.models import Watched
from longshore.monitor.sample import Sample
from longshore.profile import Ints
from longshore.records import Window


class Era(msgspec.Struct, frozen=True):
    """The model whose predictions are judged; generation 0 stands for none yet."""

    version: str = ""
    generation: int = 0


@dataclass(frozen=True, slots=True)
class EraBegun:
    """A newer generation's records appear, from pane `pane` on."""

    before: Era
    era: Era
    pane: int


@dataclass(frozen=True, slots=True, eq=False)
class Filled:
    """A full window of closed panes: `first_pane` to the pane before `end_pane`."""

    era: Era
    index: int
    first_pane: int
    end_pane: int
    records: int
    watched: Watched
    counts: Ints
    sums: Ints
    segments: Ints
    ids: IdSketch | None = None
    aside: Aside = NO_ASIDE
    sample: Sample | None = None
    estimate: Totals = NO_ESTIMATE

    def window(self, pane_ms: int) -> Window:
        """The stretch of event time it covers."""
        return Window(self.first_pane * pane_ms, self.end_pane * pane_ms, self.records)


@dataclass(slots=True)
class Open:
    """A pane of one version still open, and the panes-topic offset of its first delta."""

    offset: int
    records: int
    counts: Ints
    sums: Ints
    segments: Ints
    ids: IdSketch | None = None
    sample: Sample | None = None
    estimate: Totals = NO_ESTIMATE


@dataclass(frozen=True, slots=True, eq=False)
class Ahead:
    """The next window as it would be if nothing more came: the one in progress and `panes`, still open."""

    first_pane: int
    end_pane: int
    records: int
    panes: list[Open]

    def window(self, pane_ms: int) -> Window:
        """The stretch of event time it covers so far."""
        return Window(self.first_pane * pane_ms, self.end_pane * pane_ms, self.records)


class WindowState(msgspec.Struct):
    """What a snapshot keeps; open panes are not in it but are read again from `drift.panes`."""

    era: Era = Era()
    generations: dict[str, int] = {}
    closed_before: int = 0
    index: int = 0
    first_pane: int = -1
    end_pane: int = -1
    records: int = 0
    bins: str = ""
    segments: str = ""
    sample: str = ""
    late: int = 0
    ids: str = ""
    aside: Aside = NO_ASIDE
    pending: dict[int, Aside] = {}
    estimate: Totals = NO_ESTIMATE
