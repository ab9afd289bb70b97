"""Results as tables: Markdown whose columns are aligned, so the same text is read on a terminal and on a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

TARGETS: dict[tuple[str, str], float] = {
    ("longshore", "limit"): 0.7,
    ("longshore", "longshore-alo"): 0.9,
    ("longshore", "streams-onnx"): 3.0,
    ("longshore", "quix"): 2.0,
    ("longshore-traced", "limit"): 0.3,
}
"""Ratios of throughput that issue 4 asks for."""


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An aligned Markdown table: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [
        _line(header, widths),
        "|" + "|".join(("-" * (w + 2))[:-1] + "-:"[i > 0] for i, w in enumerate(widths)) + "|",
    ]
    return "\n".join([*lines, *(_line(row, widths) for row in rows)])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    parts = [cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths, strict=True))]
    return "| " + " | ".join(parts) + " |"


def whole(value: float | None) -> str:
    """A figure of at least some hundreds."""
    return "–" if value is None else f"{value:,.0f}"


def ratio(spread: dict[str, Any] | None) -> str:
    """A median ratio and its smallest and largest."""
    return "–" if spread is None else f"{spread['median']:.2f} ({spread['low']:.2f}–{spread['high']:.2f})"


def throughput(results: dict[str, Any]) -> str:
    """Every contestant's row, those that did not run with the reason."""
    header = ("contestant", "model", "guarantee", "records/s", "low–high", "of the limit", "CPU s per 1M", "MB")
    rows, notes = [], []
    for name, one in results.items():
        title = f"{name}: {one['title']}"
        if one.get("problem"):
            notes.append(f"{title}: not run: {one['problem']}")
        if not one.get("rate"):
            continue
        rate = one["rate"]
        spread = f"{whole(rate['low'])}–{whole(rate['high'])}"
        figures = (whole(rate["median"]), spread, ratio(one["of_limit"]), f"{one['cpu_s_per_million']:.1f}")
        rows.append((title, one["model"], one["guarantee"], *figures, whole(one["rss_mb"])))
    return _with_notes(markdown(header, rows), notes)


def comparisons(results: Sequence[dict[str, Any]]) -> str:
    """Ratios against their targets."""
    rows = [
        (f"{one['what']} / {one['to']}", ratio(one["ratio"]), f"≥ {one['target']:g}", _kept(one)) for one in results
    ]
    return markdown(("throughput", "ratio, median of rounds", "target", ""), rows)


def _kept(one: dict[str, Any]) -> str:
    return "kept" if one["ratio"]["median"] >= one["target"] else "missed"


def latency(results: Sequence[dict[str, Any]]) -> str:
    """Milliseconds, medians of rounds."""
    header = ("contestant", "records/s", "p50 ms", "p99 ms", "p99 low–high", "p99.9 ms", "lost")
    rows, notes = [], []
    for one in results:
        if one.get("problem"):
            notes.append(f"{one['title']} at {whole(one['rate'])} records/s: {one['problem']}")
        if "p99" in one:
            p99 = one["p99"]
            figures = (f"{one['p50']['median']:.1f}", f"{p99['median']:.1f}", f"{p99['low']:.1f}–{p99['high']:.1f}")
            rows.append(
                (one["title"], whole(one["rate"]), *figures, f"{one['p999']['median']:.1f}", whole(one["lost"]))
            )
    return _with_notes(markdown(header, rows), notes)


def _with_notes(table: str, notes: Sequence[str]) -> str:
    return "\n".join([table, *([""] if notes else []), *(f"- {note}" for note in notes)])


def intervals(results: Sequence[dict[str, Any]]) -> str:
    """What a transaction costs."""
    header = ("transaction every", "Longshore records/s", "of its 100 ms", "limit records/s")
    rows = []
    for one in results:
        figures = (whole(one["longshore"]), ratio(one["of_100_ms"]), whole(one["limit"]))
        rows.append((f"{one['interval_ms']} ms", *figures))
    return markdown(header, rows)


def scaling(results: Sequence[dict[str, Any]]) -> str:
    """Partitions with one process, processes with the most partitions."""
    rows = [(f"{one['partitions']}", f"{one['processes']}", whole(one["rate"]), one["problem"]) for one in results]
    return markdown(("partitions", "processes", "records/s together", ""), rows)


def memory(one: dict[str, Any]) -> str:
    """The long run."""
    if one.get("problem"):
        return f"not measured: {one['problem']}"
    rows = [("records", whole(one["records"]), "")]
    for number, found in enumerate(one["rounds"], 1):
        resident = f"{found['rss_after_first_mb']:.0f}, {found['rss_largest_mb']:.0f}"
        rows.append((f"round {number}: resident MB after the first million, largest after that", resident, ""))
        paces = ", ".join(f"{rate / 1_000:.0f}" for rate in found["rates"])
        rows.append((f"round {number}: thousand records/s, million by million", paces, ""))
    rows.append(("growth, the largest", f"{one['growth']:+.1%}", "≤ +5 %"))
    rows.append(("last million of the second, median of rounds", ratio(one["last_of_second"]), "≥ 0.95"))
    return markdown(("long run", "figure", "target"), rows)
