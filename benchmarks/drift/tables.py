"""Each part's results as Markdown tables, aligned so that the same text is read on a terminal and on a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from benchmarks.scoring.tables import markdown


def percent(one: Mapping[str, Any]) -> str:
    """A share and its interval."""
    return f"{one['value']:.1%} ({one['low']:.1%}–{one['high']:.1%})"


def noted(table: str, problems: Mapping[str, str]) -> str:
    """The table, and who is not in it."""
    notes = [f"- {peer}: not run: {why}" for peer, why in problems.items()]
    return "\n".join([table, *([""] if notes else []), *notes])


def false_alarms(result: dict[str, Any]) -> str:
    """A row for each rule and source, a column for each size; always-fire and never-fire for scale."""
    rows = result["rows"]
    sizes = sorted({row["n"] for row in rows})
    held = {(row["rule"], row["source"], row["n"]): row for row in rows}
    lines = []
    for rule, source in dict.fromkeys((row["rule"], row["source"]) for row in rows):
        cells = [held.get((rule, source, n)) for n in sizes]
        first = next(cell for cell in cells if cell)
        many = f"{first['clusters']} × {first['cases'] // first['clusters']}"
        lines.append((rule, source, many, *("–" if cell is None else percent(cell) for cell in cells)))
    lines += [(f"{name} fires", "any", "–", *([share] * len(sizes))) for name, share in EXTREMES]
    header = ("rule", "data", "references × windows", *(f"n={n:,}" for n in sizes))
    return noted(markdown(header, lines), result["problems"])


EXTREMES = (("always", "100.0%"), ("never", "0.0%"))


def run_length(result: dict[str, Any]) -> str:
    """Observed over stated."""
    rows = [
        (
            row["source"],
            f"{row['stated']:,}",
            str(row["step"]),
            f"{row['value']:.2f} ({row['low']:.2f}–{row['high']:.2f})",
            f"{row['clusters']}",
            f"{row['cases']:,}",
            _within(row, 0.9, 1.3),
        )
        for row in result["rows"]
    ]
    table = markdown(("data", "stated", "step", "observed / stated", "references", "alerts", "0.9–1.3"), rows)
    return f"{table}\n\n{POOL_NOTE}"


def _within(row: Mapping[str, Any], low: float, high: float) -> str:
    """Whether a figure is in a range; open where only its interval reaches it."""
    if low <= row["value"] <= high:
        return "kept"
    return "open" if row["low"] <= high and row["high"] >= low else "missed"


POOL_NOTE = """Drawn: the file is the population of reference and stream. Held out: streams from the 10,840 rows that
the reference left, whose own noise adds to the reference's. Generator: 100,000 rows beside the reference's 60,000."""


def power(result: dict[str, Any]) -> str:
    """Every cell, the promises, the losses, and what every rule saw on average."""
    return "\n\n".join(part for part in (_cells(result), _promises(result), _losses(result), _means(result)) if part)


def _cells(result: dict[str, Any]) -> str:
    header = ("shift", "n", "Longshore at its 5 %", "Longshore", "best peer", "its power", "difference", "")
    rows = []
    for row in result["rows"]:
        ours, compared = row["powers"]["Longshore"], "best" in row
        rest = ("–", "–", "–", "")
        if compared:
            apart = f"{row['difference']:+.1%} ({row['low']:+.1%} to {row['high']:+.1%})"
            rest = (row["best"], f"{row['powers'][row['best']]:.1%}", apart, "loss" if row["loss"] else "")
        rows.append((row["cell"], f"{row['n']:,}", percent(row["nominal"]), f"{ours:.1%}", *rest))
    rows += [(f"{name} fires", "any", share, share, "–", "–", "–", "") for name, share in EXTREMES]
    return noted(markdown(header, rows), result["problems"])


def _promises(result: dict[str, Any]) -> str:
    rows = [
        (row["cell"], f"{row['n']:,}", percent(row["nominal"]), f"≥ {row['promised']:.0%}", _kept(row))
        for row in result["rows"]
        if row["promised"]
    ]
    return markdown(("promised", "n", "Longshore at its 5 %", "target", ""), rows)


def _kept(row: dict[str, Any]) -> str:
    return "kept" if row["nominal"]["value"] >= row["promised"] else "missed"


def _losses(result: dict[str, Any]) -> str:
    if result["without_loss"] is None:
        return ""
    lost = [f"{row['cell']}, n={row['n']:,} to {row['best']}" for row in result["rows"] if row.get("loss")]
    said = f"Cells without a significant loss to the best peer: {result['without_loss']:.0%} (target ≥ 80 %)."
    return f"{said} Losses: {'; '.join(lost) or 'none'}. Thresholds from {result['null_windows']:,} undrifted windows."


def _means(result: dict[str, Any]) -> str:
    rules = list(result["rows"][0]["powers"])
    sizes = sorted({row["n"] for row in result["rows"]})
    rows = []
    for rule in rules:
        means = [np.mean([row["powers"].get(rule, np.nan) for row in result["rows"] if row["n"] == n]) for n in sizes]
        rows.append((rule, *(f"{mean:.1%}" for mean in means)))
    rows.sort(key=lambda row: row[-1], reverse=True)
    return markdown(("mean power over the grid", *(f"n={n:,}" for n in sizes)), rows) if len(rules) > 1 else ""


def delay(result: dict[str, Any]) -> str:
    """Median delays at one run length."""
    header = ("detector", "median delay, records", "runs", "run length at its threshold", "at its default")
    rows = []
    for row in result["rows"]:
        ours = row["rule"] == "Longshore"
        reached = "stated 10,000" if ours else _reached(row)
        default = row.get("default_run")
        middle = f"{_records(row['value'])} ({_records(row['low'])}–{_records(row['high'])})"
        rows.append(
            (row["rule"], middle, f"{row['cases']} of {row['runs']}", reached, f"{default:,.0f}" if default else "–")
        )
    rows += [("always fires", "1", "–", "1", "–"), ("never fires", "never", "–", "∞", "–")]
    return noted(f"Shift: {result['shift']}.\n\n{markdown(header, rows)}", result["problems"])


def _reached(row: dict[str, Any]) -> str:
    if not np.isfinite(row["reached"]):
        return f"no alarm in {row['undrifted']:,} records"
    return f"{row['reached']:,.0f} of {row['undrifted']:,} records"


def _records(value: float) -> str:
    return f"{value:,.0f}" if np.isfinite(value) else "never"


def attribution(result: dict[str, Any]) -> str:
    """Ranked first, and false discoveries."""
    header = ("n", "shift of one stream", "ranked first", "of windows that alarm", "windows that alarm", "false")
    rows = [
        (
            f"{row['n']:,}",
            row["shift"],
            percent(row["first"]),
            percent(row["first_of_alarms"]) if row["first_of_alarms"] else "–",
            percent(row["alarmed"]),
            percent(row["false_discoveries"]),
        )
        for row in result["rows"]
    ]
    by_stream = [
        (name, *(f"{row['first_by_stream'][name]:.1%}" for row in result["rows"]))
        for name in result["rows"][0]["first_by_stream"]
    ]
    streams = markdown(("ranked first, by shifted stream", *(f"n={row['n']:,}" for row in result["rows"])), by_stream)
    return f"{markdown(header, rows)}\n\n{streams}"


def metrics(result: dict[str, Any]) -> str:
    """Largest differences from scipy, and a window's distances from its counts."""
    bins = [(name, f"{error:.1e}", "kept" if error <= 1e-12 else "missed") for name, error in result["bins"].items()]
    counts = [
        (
            one["window"],
            f"{one['kept']:.1%}",
            f"{one['median_percent']:.2f} %",
            f"{one['worst']['percent']:.2f} % / {one['worst']['sigma']:.4f} σ ({one['worst']['stream']})",
            f"{one['ks']:.5f}",
            "kept" if one["ks"] <= 1 / 256 else "missed",
        )
        for one in result["counts"]
    ]
    header = ("window, from its counts", "≤ 0.5 % or 0.005 σ", "median", "Wasserstein, worst", "KS, worst", "≤ 1/256")
    alarms = [percent(result["outlier"][kind]) for kind in ("with", "without")]
    outlier = f"Windows of {result['outlier_rows']:,} rows that alarm: {alarms[0]} with one wild row (100 σ in every "
    outlier += f"numeric stream), {alarms[1]} the same windows without it."
    return "\n\n".join(
        [markdown(("against scipy", "largest difference", "≤ 1e-12"), bins), markdown(header, counts), outlier]
    )


def speed(result: dict[str, Any]) -> str:
    """Milliseconds a window."""
    rows = [
        (
            row["rule"],
            f"{row['times']:,}",
            f"{row['p50_ms']:,.2f}",
            f"{row['p99_ms']:,.2f}",
            f"{row['ratio']:,.1f}",
        )
        for row in result["rows"]
    ]
    title = f"{result['streams']} streams, a window of {result['records']:,} records"
    return noted(markdown((title, "times", "p50 ms", "p99 ms", "of ours"), rows), result["problems"])


def memory(result: dict[str, Any]) -> str:
    """Bytes of a window, and the process's memory."""
    rows = [
        (f"counts of a window of {one['records']:,} records, bytes", f"{one['bytes']:,}") for one in result["sizes"]
    ]
    rows += [
        (f"the same packed for the topic, {one['records']:,} records", f"{one['packed']:,}") for one in result["sizes"]
    ]
    rows += [
        ("profile of the reference, bytes", f"{result['profile_bytes']:,}"),
        ("rows counted in columns", f"{result['rows']:,}"),
        ("rows/s, one process", f"{result['rows_per_s']:,.0f}"),
        ("resident memory after the first tenth, MB", f"{result['rss_early_mb']:,.0f}"),
        ("largest resident memory, MB", f"{result['rss_largest_mb']:,.0f}"),
    ]
    return markdown(("memory", "figure"), rows)
