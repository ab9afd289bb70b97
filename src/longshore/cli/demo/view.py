"""What the demo shows: a live panel with news above it on a terminal, plain lines when piped."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from longshore.cli.demo.plan import Plan
from longshore.cli.demo.watch import Story
from longshore.cli.drift_table import sparkline
from longshore.records import DriftEvent, ModelEvent, ModelEventKind, RetrainRequest

PLAIN_EVERY_S = 3.0


class View:
    """Shows the story; every method may be called from any thread."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self.console = console
        self._plan = plan
        self._started = time.monotonic()
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._last = (time.monotonic(), 0)
        self._rate = 0.0
        self._next_plain = 0.0

    def __enter__(self) -> View:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """A line with the time since the start."""
        self.console.print(f"{time.monotonic() - self._started:6.1f} s  {text}", highlight=False, soft_wrap=True)

    def news(self, event: Any) -> None:
        """A line (and a picture for an alert) for what was heard."""
        if isinstance(event, RetrainRequest):
            self.say(f"retraining requested: {event.trigger_id} because of {event.cause} drift")
        elif isinstance(event, ModelEvent):
            self.say(_model_line(event))
        elif isinstance(event, DriftEvent) and event.kind not in ("verdict", "performance", "labels"):
            self.say(f"drift monitor: {_drift_line(event)}")
            if event.kind == "alert":
                self._picture(event)

    def stage(self, stage: str, figures: dict[str, Any]) -> None:
        """A training stage."""
        told = ", ".join(
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in figures.items()
        )
        self.say(f"trainer: {stage}{f' ({told})' if told else ''}")

    def show(self, story: Story, phase: str) -> None:
        """The present figures."""
        now, scored = time.monotonic(), sum(story.scored.values())
        if now - self._last[0] >= 1.0:
            self._rate = (scored - self._last[1]) / (now - self._last[0])
            self._last = (now, scored)
        if self._live is not None:
            self._live.update(self._table(story, phase, scored))
        elif now >= self._next_plain:
            self._next_plain = now + PLAIN_EVERY_S
            self.say(f"{phase}: {_figures(story, scored, self._rate)}")

    def _table(self, story: Story, phase: str, scored: int) -> Table:
        table = Table(title=f"longshore demo: {phase}", title_justify="left", show_header=False, min_width=90)
        table.add_row("produced", f"{story.produced:,}")
        table.add_row("scored", f"{scored:,}  ({self._rate:,.0f} records/s, dead letters {story.dead_letters:,})")
        table.add_row("by version", "  ".join(f"{v} {n:,}" for v, n in sorted(story.scored.items())) or "-")
        table.add_row("champion", story.champion)
        table.add_row("drift state", story.state)
        table.add_row("last window", _verdict(story.verdict))
        shift = "past" if story.produced > self._plan.onset else f"at record {self._plan.onset:,}"
        table.add_row("shift", f"{self._plan.scenario}, {shift}")
        return table

    def _picture(self, event: DriftEvent) -> None:
        for rank, stream in enumerate(event.streams[:3], start=1):
            mark = "moved" if stream.alert else "still"
            self.console.print(
                f"          {rank}. {stream.name:20} {mark}  PSI {stream.psi:.3f}  KS {stream.ks:.3f}"
                f"  p {stream.p_value:.1e}",
                highlight=False,
            )
        reference, current = event.detail.get("reference", []), event.detail.get("current", [])
        top = max([*reference, *current, 1e-9])
        for name, shares in (("trained on", reference), ("now", current)):
            self.console.print(
                f"          {event.detail.get('stream')} {name:>10}  {sparkline(shares, top)}", highlight=False
            )


def _figures(story: Story, scored: int, rate: float) -> str:
    return (
        f"produced {story.produced:,}, scored {scored:,} ({rate:,.0f}/s), champion {story.champion}, "
        f"drift {story.state}, last window {_verdict(story.verdict)}"
    )


def _verdict(event: DriftEvent | None) -> str:
    if event is None:
        return "none yet"
    top = event.streams[0].name if event.streams else "-"
    return f"{event.window_index} ({event.window.records:,} records): p {event.p_value:.2g}, most moved {top}"


def _model_line(event: ModelEvent) -> str:
    told = {
        ModelEventKind.REGISTERED: f"registry: {event.version} registered by {event.actor}",
        ModelEventKind.PROMOTED: f"gate: {event.version} promoted, generation {event.generation}: {event.reason}",
        ModelEventKind.REJECTED: f"gate: {event.version or 'the data'} rejected: {event.reason}",
        ModelEventKind.AWAITING_APPROVAL: f"gate: {event.version} waits for `longshore model approve`: {event.reason}",
        ModelEventKind.ROLLED_BACK: f"rolled back to {event.version}, generation {event.generation}",
    }
    return told[event.kind]


def _drift_line(event: DriftEvent) -> str:
    detail = event.detail
    lines = {
        "era": f"watching {event.model_version} (generation {event.generation})",
        "alert": f"ALERT, {event.cause} drift, episode {event.episode}",
        "awaiting_labels": f"waiting for fresh labels ({detail.get('fresh_labels')} of {detail.get('needed')})",
        "resolved": f"episode {event.episode} resolved",
        "quality": "FAULT of the data: " + "; ".join(fault["text"] for fault in detail.get("faults", [])),
        "quality_over": "the data have no fault any more",
    }
    return lines.get(event.kind, event.kind)
