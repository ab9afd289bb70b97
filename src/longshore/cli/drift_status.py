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
from longshore.cli.drift_table import ALERT, cells, p_sparkline, sparkline, table_of, terminal
from longshore.cli.trace_text import clean
from longshore.monitor.pages.errors import sentence
from longshore.monitor.pages.estimates import estimate_text
from longshore.monitor.pages.history import number, values_of
from longshore.monitor.pages.quality import Quality, Trouble
from longshore.monitor.pages.story import Stories, Story
from longshore.pages.wording import count_text, listed, p_is, p_text, span_text, time_text, value_text
from longshore.records import DriftEvent
from longshore.tracing.drift import Told

RECENT = 24
"""Windows in a stream's picture of p-values."""

STYLES = {"ok": "bold green", "cooldown": "bold green", "warning": "bold yellow"}
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
            self.began = event.window.start
            self.rmse.clear()
        elif event.kind == "performance":
            self.performance = told
            if (rmse := number(event.detail.get("figures") or {}, "rmse")) is not None:
                self.rmse.append(rmse)
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
            "estimate": detail.get("estimate"),
            "recent_p_values": {name: list(values) for name, values in self._recent.items()},
        }

    def shown(self, now_ms: int) -> Group:
        """The table with the lines above it."""
        newest = self.last or self.provisional
        if newest is None:
            return Group(Text("no drift events yet"))
        lines = [_state_line(newest.event, self.alerts)]
        if self.began is not None and self.age_ms is not None:
            lines.append(Text(f"model in use since {time_text(self.began)} (event time): {span_text(self.age_ms)}"))
        if self.episode is not None:
            lines.append(_episode_line(self.episode))
        if self.quality.now is not None:
            lines += _quality_lines(self.quality.now)
        if self.performance is not None:
            lines += [_error_line(self.performance.event), *_history_line(self.performance.event, list(self.rmse))]
        early = [_provisional_line(self.provisional.event)] if self.provisional else []
        if self.verdict is None:
            return Group(*lines, Text("no window judged yet"), *early)
        lines += _verdict_lines(self.verdict, now_ms) + early
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


def _state_line(event: DriftEvent, alerts: int) -> Text:
    style = STYLES.get(event.state, "bold red")
    rest = f"; last event {event.kind}; model {event.model_version} (generation {event.generation})"
    return Text.assemble("state ", (clean(event.state), style), clean(f"{rest}; {count_text(alerts, 'alert')} so far"))


def _episode_line(episode: Story) -> Text:
    since = f"episode {episode.id} since {time_text(episode.began)} ({episode.cause or 'drift'})"
    return Text(clean(f"{since}: `longshore drift explain last` tells more"), style="red")


def _quality_lines(trouble: Trouble) -> list[Text]:
    """The faults of the data that last, a line each."""
    held = "; retraining waits for their end" if trouble.holds else ""
    head = Text(f"faults of the data since {time_text(trouble.began)}{held}", style="bold red")
    return [head, *(Text(clean(f"  {fault['kind']}: {fault['text']}"), style="red") for fault in trouble.faults)]


def _verdict_lines(told: Told, now_ms: int) -> list[Text]:
    event = told.event
    limit, run_length = number(event.detail, "limit"), number(event.detail, "run_length")
    judged = (
        f"window {event.window_index} to {time_text(event.window.end)}: {count_text(event.window.records, 'record')}"
    )
    lines = [Text(f"{judged}, judged {span_text(now_ms - told.written_at)} ago; {p_is(event.p_value)}")]
    if expected := estimate_text(event):
        lines.append(Text(clean(expected)))
    if limit is not None:
        stated = f", one false alert in {count_text(run_length)} records" if run_length else ""
        lines.append(Text(f"limit p ≤ {p_text(limit)}{stated}"))
    return lines


def _error_line(event: DriftEvent) -> Text:
    """What the last window of labels says of the error."""
    grew = event.detail.get("alarm") or event.detail.get("grew")
    return Text(clean(f"labels: {sentence(event)}"), style=ALERT if grew else "")


def _history_line(event: DriftEvent, rmse: list[float]) -> list[Text]:
    """RMSE of the last windows of labels: higher is worse, the full height is the worst of them or twice held-out."""
    then = number(event.detail.get("validation") or {}, "rmse")
    if len(rmse) < 2:
        return []
    beside = f"; held-out {value_text(then)}" if then is not None else ""
    highest = max([*rmse, 2 * (then or 0.0)])
    worst = f"RMSE of the last {len(rmse)} windows, highest {value_text(max(rmse))}{beside}: "
    return [Text(f"  {worst}{sparkline(rmse, highest)}", style="dim")]


def _provisional_line(event: DriftEvent) -> Text:
    """The next window so far, marked as what it is."""
    over = [stream.name for stream in event.streams if stream.alert]
    moved = f"; over the limit: {listed(over)}" if over else ""
    so_far = f"window {event.window_index} so far, {count_text(event.window.records, 'record')}: {p_is(event.p_value)}"
    return Text(clean(f"provisional: {so_far}{moved} ({_revision(event)}; it may still change)"), style="dim")


def _revision(event: DriftEvent) -> str:
    return f"revision {event.detail.get('revision', '–')}"


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
    what += f" (provisional, {_revision(event)})" if event.provisional else ""
    return clean(f"{time_text(told.written_at)}  {event.state:15}  {what}{top}")


def _now_ms() -> int:
    return int(time.time() * 1_000)
