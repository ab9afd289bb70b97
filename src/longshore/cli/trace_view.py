"""A trace as lines for a person: sections, UTC with milliseconds, short hashes. Pure.

Which facts, and in which order; how a line is written is `trace_text`'s. The JSON has everything in full.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click

from longshore.cli.trace_text import NAME_WIDTH, clean, paragraph, span, when, wrapped
from longshore.records import DriftEvent
from longshore.tracing.trace import (
    DeadLetter,
    Drift,
    Envelope,
    Label,
    Model,
    Payload,
    Prediction,
    Status,
    Trace,
    TraceContext,
)

HASH_DIGITS = 12
MOVED_STREAMS = 3

Row = tuple[str, str]


def lines(trace: Trace, width: int = 120) -> Iterator[str]:
    """The whole answer; no line but the first is wider than `width`."""
    yield from _heading(trace, width)
    sections: list[tuple[str, list[Row]]] = [
        ("record", _record(trace)),
        ("prediction", _prediction(trace.prediction, trace.input) if trace.prediction else []),
        ("dead letter", _dead_letter(trace.dead_letter) if trace.dead_letter else []),
        ("label", _label(trace)),
        ("model", _model(trace.model, trace.prediction) if trace.model else []),
        ("drift", _drift(trace)),
        ("trace context", _contexts(trace.traceparent)),
        ("searched", _searched(trace)),
    ]
    for title, rows in sections:
        if rows:
            yield ""
            yield click.style(title, bold=True)
            for row in rows:
                yield from wrapped(*row, width)
    if trace.notes:
        yield ""
        for note in trace.notes:
            yield from paragraph(f"note: {note}", width)


def _heading(trace: Trace, width: int) -> Iterator[str]:
    colour = {Status.SCORED: "green", Status.DEAD_LETTER: "yellow"}.get(trace.status, "red")
    source = trace.source
    at = f"  {source.topic}/{source.partition}/{source.offset}" if source else ""
    label = trace.status.value.replace("_", " ").upper()
    yield click.style(label, fg=colour, bold=True) + clean(at)
    yield from paragraph(trace.detail, width)


def _payload(payload: Payload | None, *, size: bool = False) -> str:
    if payload is None:
        return "null"
    shown = payload.data if payload.encoding == "utf-8" else f"base64 {payload.data}"
    return f"{payload.size:,} bytes: {shown}" if size else shown


def _record(trace: Trace) -> list[Row]:
    given, identity = trace.input, trace.identity
    rows: list[Row] = []
    if given is not None:
        rows.append(("sent", when(given.timestamp)))
        rows.append(("key", _payload(given.key)))
        for name, value in (("record id", identity.record_id), ("entity", identity.entity)):
            rows.append((name, value if value is not None else "cannot be read"))
        rows.append(("event time", when(identity.event_time) if identity.event_time is not None else "cannot be read"))
        rows.append(("value", _payload(given.value, size=True)))
        rows += [("header", f"{header.name}: {_payload(header.value)}") for header in given.headers]
    if trace.replay_of:
        rows.append(("replay of", trace.replay_of))
    if trace.group:
        rows.append(("committed", f"{'nothing' if trace.committed is None else trace.committed}, group {trace.group}"))
    rows += [("same id", other) for other in trace.others]
    return rows


def _prediction(found: Prediction, given: Envelope | None) -> list[Row]:
    at = found.message
    sent = given.timestamp if given else None
    delay = "" if sent is None else f", {span(found.scored_at - sent)} after it was sent"
    return [
        ("value", f"{found.prediction:,.10g}"),
        ("scored", when(found.scored_at) + delay),
        ("by", f"{found.model_version} as {found.route}"),
        ("at", f"{at.topic}/{at.partition}/{at.offset}"),
        *(("header", f"{header.name}: {_payload(header.value)}") for header in at.headers),
    ]


def _dead_letter(found: DeadLetter) -> list[Row]:
    at = found.envelope
    rows = [
        ("reason", found.reason),
        ("message", found.message),
        ("by", f"scorer {found.task}, at {found.stage}"),
        ("at", f"{at.topic}/{at.partition}/{at.offset}"),
    ]
    if (replay := found.replay) is None:
        return [*rows, ("replayed", "no")]
    how = f"attempt {replay.attempt}, {'patched' if replay.patched else 'as it was'}"
    return [*rows, ("replayed", f"{when(replay.replayed_at)} as {replay.replayed_as} ({how})")]


def _label(trace: Trace) -> list[Row]:
    if not trace.status.answered:
        return []
    label: Label | None = trace.label
    if label is None:
        unknown = trace.identity.record_id is None
        return [("value", "not looked for: the record's id cannot be read" if unknown else "none found yet")]
    rows = [("value", f"{label.label:,.10g}")]
    if trace.prediction is not None:
        rows.append(("error", f"{trace.prediction.prediction - label.label:+,.6g} (prediction - label)"))
    rows.append(("observed", when(label.observed_at)))
    return [*rows, ("at", f"{label.topic}/{label.partition}/{label.offset}")]


def _model(model: Model, prediction: Prediction | None) -> list[Row]:
    rows = [("version", f"{model.version} of {model.model}")]
    if model.problem:
        return [*rows, ("unknown", model.problem)]
    dataset = model.dataset
    rows += [
        ("generation", _generation(model)),
        ("file", f"{model.file}, sha256 {_hash(model.sha256)}"),
        ("dataset", f"sha256 {_hash(dataset.get('sha256'))}, {_dataset(dataset)}"),
        ("signed", _signed(model.signature)),
        ("trained", f"{_iso(model.created)} by {model.actor or '?'}: {model.reason or 'no reason given'}"),
        ("trigger", model.trigger_id or "-"),
    ]
    if model.request is not None:
        asked = model.request
        rows.append(("request", f"{asked['cause']} drift of {asked['model_version']}, episode {asked['episode']}"))
    rows.append(("metrics", _metrics(model.metrics)))
    rows.append(("code", f"longshore {model.code_version or '?'}"))
    rows.append(("libraries", ", ".join(f"{name} {version}" for name, version in model.libraries.items()) or "-"))
    for reign in model.reigns:
        here = " ←" if reign.generation == model.generation and prediction is not None else ""
        rows.append(("champion", f"generation {reign.generation}, {when(reign.since)} to {_end(reign.until)}{here}"))
        rows.append(("", f"{reign.kind} by {reign.actor}: {reign.reason}"))
        if reign.ended_by is not None:
            by = reign.ended_by
            move = f"{by['version']} {by['kind']} by {by['actor']}, generation {by['generation']}: {by['reason']}"
            rows.append(("", f"ended: {move}"))
    return rows if model.reigns else [*rows, ("champion", "never")]


def _generation(model: Model) -> str:
    then = model.champion_then
    if model.generation is None:
        return "- (it was never champion)"
    if then is None or then["generation"] == model.generation:
        return f"{model.generation}, champion when it scored"
    return f"{model.generation}; the registry had {then['version']}, generation {then['generation']}, by then"


def _drift(trace: Trace) -> list[Row]:
    if not trace.status.answered:
        return []
    found: Drift | None = trace.drift
    if found is None:
        return [("state", "nothing judged yet")]
    version = trace.prediction.model_version if trace.prediction else None
    rows: list[Row] = []
    if found.known is None:
        rows.append(("known then", "nothing was judged yet"))
    else:
        rows += [("known then", _event(found.known)), ("", f"told {when(found.known_at)}")]
    if found.verdict is None:
        return [*rows, ("own window", "not judged (yet)")]
    verdict = found.verdict
    rows += [
        (_whose(found, verdict, version), _event(verdict)),
        ("", f"{verdict.window.records:,} records, {when(verdict.window.start)} to {when(verdict.window.end)}"),
        ("", f"told {when(found.verdict_at)}"),
    ]
    moved = (f"{s.name} (p {s.p_value:.2g}, JS {s.js:.3g}{', ALERT' if s.alert else ''})" for s in verdict.streams)
    rows.append(("most moved", ", ".join(list(moved)[:MOVED_STREAMS]) or "-"))
    if found.alert is not None:
        rows.append(("alert", f"{found.alert.cause}, episode {found.alert.episode}, p {found.alert.p_value:.2g}"))
    return rows


def _whose(found: Drift, verdict: DriftEvent, version: str | None) -> str:
    """Which window a verdict is on, as seen from the record."""
    if not found.covers:
        return "window before"
    return "own window" if version in (None, verdict.model_version) else "same time"


def _event(event: DriftEvent) -> str:
    parts = [f"{event.kind} on {event.model_version}"]
    if event.window_index >= 0:
        parts.append(f"window {event.window_index}")
    if event.kind in ("verdict", "alert"):
        parts.append(f"p {event.p_value:.2g}")
    if event.episode:
        parts.append(f"episode {event.episode}")
    return f"{event.state} ({', '.join(parts)})"


def _contexts(found: dict[str, TraceContext | None]) -> list[Row]:
    rows = []
    for name, context in found.items():
        if context is not None:
            flag = {True: ", sampled", False: ", not sampled", None: " (malformed)"}[context.sampled]
            ids = f"trace {context.trace_id}, parent {context.parent_id}" if context.trace_id else context.header
            rows.append((name, ids + flag))
    return rows


def _searched(trace: Trace) -> list[Row]:
    return [
        (
            one.what[: NAME_WIDTH - 1] if one.what != "training request" else "request",
            f"{one.topic}/{one.partition} offsets {one.start:,} to {one.stop:,}, {one.records:,} messages"
            f"{'' if one.complete else ', cut short'}",
        )
        for one in trace.searched
    ]


def _hash(digest: Any) -> str:
    return f"{digest[:HASH_DIGITS]}…" if isinstance(digest, str) else "?"


def _end(time_ms: int | None) -> str:
    return "now" if time_ms is None else when(time_ms)


def _iso(text: str | None) -> str:
    try:
        return when(round(datetime.fromisoformat(text or "").timestamp() * 1_000))
    except ValueError:
        return text or "-"


def _dataset(dataset: dict[str, Any]) -> str:
    rows = dataset.get("rows")
    return f"{_number(rows) if isinstance(rows, int) else '?'} rows, {dataset.get('source', '?')}"


def _signed(signature: Any) -> str:
    """What the manifest says of itself; whether it holds is `longshore model verify`'s to tell."""
    if not isinstance(signature, dict):
        return "no" if signature is None else "yes"
    return f"{signature.get('scheme', '?')}, key {signature.get('key_id', '?')}"


def _metrics(metrics: dict[str, Any]) -> str:
    """Each metric, with its interval where it has one."""
    intervals = {name.removesuffix("_interval"): value for name, value in metrics.items() if isinstance(value, list)}
    shown = []
    for name, value in metrics.items():
        if not isinstance(value, list):
            bounds = " … ".join(map(_number, intervals.get(name, ())))
            shown.append(f"{name} {_number(value)}{f' [{bounds}]' if bounds else ''}")
    return ", ".join(shown) or "-"


def _number(value: Any) -> str:
    return f"{value:,.6g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
