"""`longshore drift status`: the stream's drift as the last events have it, once or live."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

import click
import msgspec
from rich.console import Group
from rich.live import Live
from rich.text import Text

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.cli.drift_events import follow_events, read_events
from longshore.cli.drift_lines import (
    episode_line,
    error_line,
    history_line,
    label_line,
    provisional_line,
    quality_lines,
    revision,
    state_line,
    verdict_lines,
)
from longshore.cli.drift_table import ALERT, cells, p_sparkline, table_of, terminal
from longshore.cli.trace_text import clean
from longshore.monitor.pages.fairness import sentence as groups_sentence
from longshore.monitor.pages.history import number, values_of
from longshore.monitor.pages.quality import Quality
from longshore.monitor.pages.story import Stories, Story
from longshore.pages.wording import p_is, p_text, span_text, time_text, value_text
from longshore.records import DriftEvent
from longshore.tracing.drift import Told

RECENT = 24
"""Windows in a stream's picture of p-values."""

HEADINGS = ("stream", "p", "PSI", "KL", "JS", "Wass. σ", "KS", "last p-values")


class Board:
    """What the events read so far say, in bounded memory.

    `provisional` is an earlier look at the window after `verdict`'s, until that is final: shown, part of nothing else.
    """

    def __init__(self) -> None:
        self.last: Told | None = None
        self.verdict: Told | None = None
        self.provisional: Told | None = None
        self.performance: Told | None = None
        self.labels: Told | None = None
        self.fairness: Told | None = None
        self.alerts = 0
        self.quality = Quality()
        self._stories = Stories()
        self._recent: dict[str, deque[float]] = {}
        self.began: int | None = None
        self.rmse: deque[float] = deque(maxlen=RECENT)

    def add(self, told: Told) -> None:
        """Take in the next event."""
        if told.event.provisional:
            self.provisional = told
            return
        self.last = told
        self._stories.add(told)
        event = told.event
        self.quality.add(event)
        self.alerts += event.kind == "alert"
        if event.kind == "era":
            self._recent, self.provisional, self.performance = {}, None, None
            self.labels = self.fairness = None
            self.began = event.window.start
            self.rmse.clear()
        elif event.kind == "performance":
            self.performance = told
            if (rmse := number(event.detail.get("figures") or {}, "rmse")) is not None:
                self.rmse.append(rmse)
        elif event.kind == "labels":
            self.labels = told
        elif event.kind == "fairness":
            self.fairness = told
        elif event.kind == "verdict":
            self.verdict, self.provisional = told, None
            for stream in event.streams:
                self._recent.setdefault(stream.name, deque(maxlen=RECENT)).append(stream.p_value)

    @property
    def episode(self) -> Story | None:
        """The episode that lasts."""
        stories = list(self._stories.found.values())
        return stories[-1] if stories and stories[-1].ended is None else None

    @property
    def age_ms(self) -> int | None:
        """For how much event time the model in use has been judged; None where its beginning was not read."""
        if self.began is None or self.verdict is None:
            return None
        return max(self.verdict.event.window.end - self.began, 0)

    def to_dict(self, now_ms: int) -> dict[str, Any]:
        """Plain values for JSON: the events, and what the table adds to them."""
        verdict, episode, early = self.verdict, self.episode, self.provisional
        detail = verdict.event.detail if verdict else {}
        return {
            "last": self.last.event if self.last else None,
            "verdict": verdict.event if verdict else None,
            "state": self.last.event.state if self.last else None,
            "episode": episode.id if episode else None,
            "episode_began": episode.began if episode else None,
            "alerts": self.alerts,
            "quality": self.quality.to_dict(),
            "limit": number(detail, "limit"),
            "run_length": number(detail, "run_length"),
            "verdict_at": verdict.written_at if verdict else None,
            "verdict_age_ms": now_ms - verdict.written_at if verdict else None,
            "provisional": early.event if early else None,
            "provisional_at": early.written_at if early else None,
            "performance": self.performance.event if self.performance else None,
            "model_began": self.began,
            "model_age_ms": self.age_ms,
            "recent_rmse": list(self.rmse),
            "labels": self.labels.event if self.labels else None,
            "fairness": self.fairness.event if self.fairness else None,
            "estimate": detail.get("estimate"),
            "recent_p_values": {name: list(values) for name, values in self._recent.items()},
        }

    def shown(self, now_ms: int) -> Group:
        """The table with the lines above it."""
        newest = self.last or self.provisional
        if newest is None:
            return Group(Text("no drift events yet"))
        lines = [state_line(newest.event, self.alerts)]
        if self.began is not None and self.age_ms is not None:
            lines.append(Text(f"model in use since {time_text(self.began)} (event time): {span_text(self.age_ms)}"))
        if self.episode is not None:
            lines.append(episode_line(self.episode))
        if self.quality.now is not None:
            lines += quality_lines(self.quality.now)
        if self.performance is not None:
            lines += [error_line(self.performance.event), *history_line(self.performance.event, list(self.rmse))]
        if self.labels is not None:
            lines.append(label_line(self.labels.event))
        if self.fairness is not None:
            lasting = self.fairness.event.detail.get("lasting")
            lines.append(Text(clean(f"groups: {groups_sentence(self.fairness.event)}"), style=ALERT if lasting else ""))
        early = [provisional_line(self.provisional.event)] if self.provisional else []
        if self.verdict is None:
            return Group(*lines, Text("no window judged yet"), *early)
        lines += verdict_lines(self.verdict, now_ms) + early
        return Group(*lines, self._table(self.verdict.event))

    def _table(self, event: DriftEvent) -> Any:
        limit = number(event.detail, "limit")
        table = table_of("", HEADINGS)
        table.title = None
        for stream in event.streams:
            values = values_of(stream)
            numbers = [value_text(values[metric]) for metric in ("psi", "kl", "js")]
            moved = f"{value_text(values['wasserstein'])}{'' if stream.wasserstein_sigma is not None else '*'}"
            bars = p_sparkline(list(self._recent.get(stream.name, [])), limit)
            row = [stream.name, p_text(stream.p_value), *numbers, moved, value_text(stream.ks), bars]
            table.add_row(*cells(row), style=ALERT if stream.alert else None)
        if any(stream.wasserstein_sigma is None for stream in event.streams):
            table.caption = Text("* nominal: total variation of the shares; constant: the plain distance")
        return table


@click.command("status")
@click.option("--follow", "-f", is_flag=True, help="Stay and show each verdict as it comes; Ctrl-C ends.")
@output_option
@pass_app
def status(app: App, *, follow: bool, output: str) -> None:
    """The stream's drift as the last events on `drift.events` have it.

    \b
    longshore drift status             once
    longshore drift status --follow    live; with --output json a line for each verdict

    Per stream: p-value (adjusted for all streams; an alarm when it is at or below the limit), PSI, KL, JS, Wasserstein
    distance in standard deviations of the reference, KS, and the last p-values, rarer higher: half the height is the
    limit. The run length says how many records pass between false alerts, on average. A line marked as provisional
    tells of the next window while its panes are open: no state, count or picture has it.
    The line on labels has the last window of labels: the error beside that of held-out rows, and how the loss test
    stands (`monitor.window_labels`, `monitor.run_length_labels`); below it the RMSE of the last windows, as a picture.
    Faults of the data are listed while they last, and whether retraining waits for their end.
    """
    if follow:
        _follow(app, output)
        return
    board = Board()
    for told in read_events(app):
        board.add(told)
    if output == "json":
        print_json(board.to_dict(_now_ms()))
    else:
        terminal().print(board.shown(_now_ms()))


def _follow(app: App, output: str) -> None:
    board, console, stop = Board(), terminal(), threading.Event()
    try:
        if output == "json" or not console.is_terminal:
            _lines(app, board, stop, as_json=output == "json")
        else:
            with Live(board.shown(_now_ms()), console=console, refresh_per_second=4) as live:
                for batch in follow_events(app, stop):
                    for told in batch:
                        board.add(told)
                    live.update(board.shown(_now_ms()))
    except KeyboardInterrupt:
        stop.set()


def _lines(app: App, board: Board, stop: threading.Event, *, as_json: bool) -> None:
    """One line for each event, where there is no terminal to draw on."""
    for batch in follow_events(app, stop):
        for told in batch:
            board.add(told)
            if as_json:
                click.echo(msgspec.json.encode(board.to_dict(_now_ms())).decode())
            else:
                click.echo(_line(told))


def _line(told: Told) -> str:
    event = told.event
    top = f", most moved {event.streams[0].name}" if event.streams else ""
    what = f"window {event.window_index}: {p_is(event.p_value)}" if event.kind == "verdict" else event.kind
    what += f" (provisional, {revision(event)})" if event.provisional else ""
    return clean(f"{time_text(told.written_at)}  {event.state:15}  {what}{top}")


def _now_ms() -> int:
    return int(time.time() * 1_000)
