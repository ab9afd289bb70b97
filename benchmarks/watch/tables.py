"""The parts' results as Markdown tables."""

from __future__ import annotations

import math
from typing import Any

Part = dict[str, Any]


def concept(found: Part) -> str:
    """Delays by detector."""
    rows = [
        (row["rule"], _number(row["value"]), _range(row), f"{row['cases']} of {row['runs']}",
         _number(row.get("run_length")))
        for row in found["rows"]
    ]  # fmt: skip
    heads = ("detector", "labels to the alarm, median", "95 %", "runs without an alarm before", "run length reached")
    return _table(heads, rows) + _problem(found)


def decline(found: Part) -> str:
    """The RMSE's growth at the alarm."""
    rows = [
        ("all errors wider" if row["kind"] == "scale" else "a level beside them", row["rule"], _share(row["value"]),
         f"{_share(row['low'])} … {_share(row['high'])}", _number(row["labels"]), _number(row.get("run_length")))
        for row in found["rows"]
    ]  # fmt: skip
    heads = ("decline", "detector", "RMSE grown by, median", "95 %", "labels, median", "run length reached")
    return _table(heads, rows) + _problem(found)


def run_length(found: Part) -> str:
    """Stated and measured run lengths."""
    rows = [
        (
            _number(row["stated"]),
            str(row["block"]),
            _number(row["labels"]),
            str(row["alarms"]),
            _number(row["run_length"]),
        )
        for row in found["rows"]
    ]
    return _table(("stated", "labels in a block", "labels watched", "alarms", "measured"), rows)


def policy(found: Part) -> str:
    """Requests by kind and policy."""
    rows = [
        (row["kind"], row["policy"], f"{row['alerts']} of {row['episodes']}", f"{row['requests']} of {row['episodes']}",
         f"{_share(row['interval'][0])} … {_share(row['interval'][1])}")
        for row in found["rows"]
    ]  # fmt: skip
    return _table(("what happens", "policy", "alerts", "requests", "95 %"), rows)


def estimate(found: Part) -> str:
    """Deviations from the realised error, and how the flag does."""
    rows = []
    for row in found["deviations"]:
        means = [
            f"{sum(row[who]) / len(row[who]):,.0f}" if who in row else "–" for who in ("ours", "dle", "validation")
        ]
        ratios = [f"{row[how]['value']:.3f} ({row[how]['low']:.3f} … {row[how]['high']:.3f})" if how in row else "–"
                  for how in ("paired", "ratio")]  # fmt: skip
        rows.append((row["chunks"], str(len(row["ours"])), *means, *ratios))
    heads = (
        "chunks",
        "seeds",
        "Longshore",
        "NannyML DLE",
        "validation's MAE as it is",
        "ratio to DLE's, paired by seed",
        "of sums",
    )
    first = (
        f"Mean |estimated − realised MAE| over chunks of {found['chunk']} in the file's order.\n\n{_table(heads, rows)}"
    )
    flags = [(name, f"{one['cases']:,}", _percent(one)) for name, one in found["flags"].items()]
    second = _table(("chunks", "number", "flagged unreliable"), flags)
    rest = [(f"interval holds the realised MAE, {name}", _percent(one)) for name, one in found["coverage"].items()]
    rest.append(("undrifted windows of 1,000 said to have grown", _percent(found["grew"])))
    return f"{first}\n\n{second}\n\n{_table(('what', 'share'), rest)}{_problem(found)}"


def _percent(one: Part) -> str:
    return f"{one['value'] * 100:.1f} % ({one['low'] * 100:.1f} … {one['high'] * 100:.1f})"


def inputs(found: Part) -> str:
    """Windows in which inputs or predictions alarm."""
    rows = [
        (row["kind"], f"{row['alarming']} of {row['windows']}",
         f"{_share(row['interval'][0])} … {_share(row['interval'][1])}", f"{row['alerts']} of {row['episodes']}")
        for row in found["rows"]
    ]  # fmt: skip
    about = f"At one false alarm in {found['run_length']:,} records; a window has {found['window']}.\n\n"
    return about + _table(("what happens", "windows that alarm", "95 %", "streams with an input alert"), rows)


def cost(found: Part) -> str:
    """Costs by policy, and their ratio to the oracle's."""
    rows = [
        (row["policy"], f"{row['retrainings']:.1f}", _number(row["staleness"]), _number(row["total"]),
         f"{row['ratio']:.2f}", f"{row['interval'][0]:.2f} … {row['interval'][1]:.2f}")
        for row in sorted(found["rows"], key=lambda row: row["total"])
    ]  # fmt: skip
    about = (
        f"{found['rows'][0]['streams']} streams; means by stream, in units of the noise's variance, a retraining costs"
        f" {found['retraining']:,.0f}. Everybody waits for {found['fresh']} fresh labels; labels come"
        f" {found['late']} records late, a model is in use {found['training']} records after it was"
        f" asked for. Ours and River's at a false alarm in {found['run_length']:,} labels.\n\n"
    )
    heads = ("policy", "retrainings", "staleness", "in all", "of the oracle's", "95 %")
    return about + _table(heads, rows) + _problem(found)


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _problem(found: Part) -> str:
    return f"\n\nPeers: {found['problem']}." if found.get("problem") else ""


def _range(row: Part) -> str:
    return f"{_number(row['low'])} … {_number(row['high'])}"


def _number(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "–"
    return "never" if math.isinf(value) else f"{value:,.0f}"


def _share(value: float) -> str:
    return "never" if math.isinf(value) else f"{value * 100:.1f} %"
