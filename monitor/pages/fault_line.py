"""Faults of the data over time, from what each verdict says of those that lasted in its window. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from longshore.monitor.pages import charts
from longshore.monitor.pages.contents import Band, Moment
from longshore.monitor.quarantine import HOLDING
from longshore.pages.markup import Markup, svg_text, tag
from longshore.pages.wording import count_text, time_text
from longshore.records import DriftEvent

REMEMBERED = 300
"""Stretches kept, the newest."""

SHOWN = 20
"""Rows of the picture: the faults that came last."""

ROW = 22.0


@dataclass(slots=True)
class Lasted:
    """One fault for some windows in a row (event time, ms)."""

    kind: str
    stream: str
    start: int
    end: int
    windows: int = 1


class FaultLine:
    """Takes in final verdicts in the topic's order."""

    def __init__(self) -> None:
        self.found: deque[Lasted] = deque(maxlen=REMEMBERED)
        self._open: dict[tuple[str, str], Lasted] = {}

    def add(self, event: DriftEvent) -> None:
        """Take in the next event; only verdicts say which faults last."""
        if event.kind != "verdict":
            return
        given = event.detail.get("faults")
        names = (
            [tuple(map(str, one)) for one in given if isinstance(one, list | tuple)] if isinstance(given, list) else []
        )
        last, self._open = self._open, {}
        for kind, stream in (name for name in names if len(name) == 2):
            one = last.get((kind, stream))
            if one is None:
                one = Lasted(kind, stream, event.window.start, event.window.end)
                self.found.append(one)
            else:
                one.end, one.windows = max(one.end, event.window.end), one.windows + 1
            self._open[kind, stream] = one

    def drawn(self, moments: Sequence[Moment], bands: Sequence[Band], eras: Sequence[tuple[int, str]]) -> Markup | None:
        """A row for each fault, as long as it lasted; None where there was none."""
        names = list(dict.fromkeys((one.kind, one.stream) for one in reversed(self.found)))[:SHOWN]
        if not names:
            return None
        height = 8 + ROW * len(names) + 26
        frame = charts.Frame(1_000, height, 240, 14, 8, 26, moments, bands, eras)
        parts = [tag("title", f"faults of the data over time: {count_text(len(names), 'kind')}")]
        for at, (kind, stream) in enumerate(names):
            top = frame.top + ROW * at
            parts.append(frame.level("grid", top + ROW))
            parts.append(svg_text(f"{kind}: {stream}"[:38], frame.left - 8, top + 15, "end"))
        for one in self.found:
            if (one.kind, one.stream) in names:
                top = frame.top + ROW * names.index((one.kind, one.stream))
                start, end = frame.x.at(one.start), frame.x.at(one.end)
                words = f"{one.kind}, {one.stream}: {time_text(one.start)} to {time_text(one.end)}, "
                title = tag("title", words + count_text(one.windows, "window"))
                kind = "fault" if one.kind in HOLDING else "fault mild"
                size = {"width": max(end - start, 3), "height": ROW - 8}
                parts.append(tag("rect", title, class_=kind, x=start, y=top + 4, **size))
        return frame.svg("faults", *parts, *charts.time_axis(frame))


def _names(given: Any) -> Iterator[tuple[str, str]]:
    """Kind and stream of the faults in a verdict's detail."""
    for one in given if isinstance(given, list) else []:
        if isinstance(one, list | tuple) and len(one) == 2:
            yield str(one[0]), str(one[1])
