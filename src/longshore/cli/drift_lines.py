"""The lines of `longshore drift status`, one for each thing that is known."""

from __future__ import annotations

from rich.text import Text

from longshore.cli.drift_table import ALERT, sparkline
from longshore.cli.trace_text import clean
from longshore.monitor.pages.errors import sentence
from longshore.monitor.pages.estimates import estimate_text
from longshore.monitor.pages.history import number
from longshore.monitor.pages.quality import Trouble
from longshore.monitor.pages.story import Story
from longshore.pages.wording import count_text, listed, p_is, p_text, span_text, time_text, value_text
from longshore.records import DriftEvent
from longshore.tracing.drift import Told

STYLES = {"ok": "bold green", "cooldown": "bold green", "warning": "bold yellow"}


def state_line(event: DriftEvent, alerts: int) -> Text:
    """How things stand after the last event."""
    style = STYLES.get(event.state, "bold red")
    rest = f"; last event {event.kind}; model {event.model_version} (generation {event.generation})"
    return Text.assemble("state ", (clean(event.state), style), clean(f"{rest}; {count_text(alerts, 'alert')} so far"))


def episode_line(episode: Story) -> Text:
    """The episode that lasts."""
    since = f"episode {episode.id} since {time_text(episode.began)} ({episode.cause or 'drift'})"
    return Text(clean(f"{since}: `longshore drift explain last` tells more"), style="red")


def quality_lines(trouble: Trouble) -> list[Text]:
    """The faults of the data that last, a line each."""
    held = "; retraining waits for their end" if trouble.holds else ""
    head = Text(f"faults of the data since {time_text(trouble.began)}{held}", style="bold red")
    return [head, *(Text(clean(f"  {fault['kind']}: {fault['text']}"), style="red") for fault in trouble.faults)]


def verdict_lines(told: Told, now_ms: int) -> list[Text]:
    """The last final verdict, and how old it is."""
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


def error_line(event: DriftEvent) -> Text:
    """What the last window of labels says of the error."""
    grew = event.detail.get("alarm") or event.detail.get("grew")
    return Text(clean(f"labels: {sentence(event)}"), style=ALERT if grew else "")


def history_line(event: DriftEvent, rmse: list[float]) -> list[Text]:
    """RMSE of the last windows of labels: higher is worse, the full height is the worst of them or twice held-out."""
    then = number(event.detail.get("validation") or {}, "rmse")
    if len(rmse) < 2:
        return []
    beside = f"; held-out {value_text(then)}" if then is not None else ""
    highest = max([*rmse, 2 * (then or 0.0)])
    worst = f"RMSE of the last {len(rmse)} windows, highest {value_text(max(rmse))}{beside}: "
    return [Text(f"  {worst}{sparkline(rmse, highest)}", style="dim")]


def label_line(event: DriftEvent) -> Text:
    """What the last window of labels says of their own distribution."""
    figures, wrong = event.detail.get("figures"), sum((event.detail.get("unreadable") or {}).values())
    text = f"label values: {count_text(event.window.records, 'label')}"
    if isinstance(figures, dict):
        text += f", mean {value_text(figures['mean'])} ({value_text(figures['mean_then'])} in training)"
        text += f"; {p_is(figures['p_value'])}"
    text += f"; {count_text(wrong)} could not be read" if wrong else ""
    return Text(clean(text), style=ALERT if event.detail.get("alarm") else "")


def provisional_line(event: DriftEvent) -> Text:
    """The next window so far, marked as what it is."""
    over = [stream.name for stream in event.streams if stream.alert]
    moved = f"; over the limit: {listed(over)}" if over else ""
    so_far = f"window {event.window_index} so far, {count_text(event.window.records, 'record')}: {p_is(event.p_value)}"
    return Text(clean(f"provisional: {so_far}{moved} ({revision(event)}; it may still change)"), style="dim")


def revision(event: DriftEvent) -> str:
    """Which look at a window that is not closed yet."""
    return f"revision {event.detail.get('revision', '–')}"
