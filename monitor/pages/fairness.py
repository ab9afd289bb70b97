"""The part of a page that compares groups of rows: their errors, and how far they are from all."""

from __future__ import annotations

from typing import Any

from longshore.pages import document
from longshore.pages.markup import Markup, joined, tag
from longshore.pages.wording import count_text, p_text, time_text, value_text
from longshore.records import DriftEvent

MEASURES = {
    "mae_ratio": "MAE over that of all",
    "bias": "bias from that of all, σ of the error",
    "ratio_growth": "MAE ratio over that of held-out rows",
    "selection_rate": "said to be 1, less all",
    "true_positive_rate": "found among the 1, less all",
}
SHOWN = 12
"""Findings in the second table, the least likely first; those out of bounds are always shown."""


def groups_part(event: DriftEvent) -> Markup:
    """Of a `fairness` event."""
    detail = event.detail
    return joined(
        tag("h3", "By group"),
        tag("p", sentence(event), class_="over" if detail.get("lasting") else None),
        _groups(detail.get("groups") or []),
        _findings(detail.get("findings") or []),
    )


def sentence(event: DriftEvent) -> str:
    """The last window of labels by group, in a sentence."""
    detail = event.detail
    text = f"{count_text(event.window.records, 'label')} up to {time_text(event.window.end)}: "
    lasting = [f"{each['attribute']}: {each['group']} ({each['measure']})" for each in detail.get("lasting") or []]
    text += f"out of bounds {', '.join(lasting)}." if lasting else "no group is out of bounds."
    if ungrouped := detail.get("ungrouped"):
        text += f" {count_text(ungrouped, 'label')} came with other groups than those of the settings."
    return text


def _groups(groups: list[dict[str, Any]]) -> Markup:
    rows = [
        tag(
            "tr",
            tag("th", str(each["group"]), tag("small", str(each["attribute"])), scope="row", class_="name"),
            tag("td", count_text(each["n"])),
            *(tag("td", "too few" if each["insufficient"] else _figure(each, metric)) for metric in METRICS),
        )
        for each in groups
    ]
    return document.table("Errors by group, with intervals of 95 %.", ("group", "labels", *METRICS.values()), rows)


METRICS = {"mae": "MAE", "rmse": "RMSE", "bias": "bias"}


def _figure(each: dict[str, Any], metric: str) -> str:
    between = each.get(f"{metric}_interval")
    reach = f" ({value_text(between[0])} … {value_text(between[1])})" if between else ""
    return f"{value_text(each.get(metric))}{reach}"


def _findings(findings: list[dict[str, Any]]) -> Markup | None:
    shown = [each for at, each in enumerate(findings) if each["breach"] or at < SHOWN]
    if not shown:
        return None
    rows = [
        tag(
            "tr",
            tag("th", str(each["group"]), tag("small", str(each["attribute"])), scope="row", class_="name"),
            tag("td", MEASURES.get(each["measure"], each["measure"]), class_="left"),
            tag("td", value_text(each["value"])),
            tag("td", _between(each)),
            tag("td", value_text(each["limit"])),
            tag("td", p_text(each["p_value"]), class_="over" if each["breach"] else None),
        )
        for each in shown
    ]
    caption = "How far groups are apart, least likely within the limit first: p-values by Holm over all of them."
    return document.table(caption, ("group", "measure", "value", "95 %", "limit", "p"), rows, "tight")


def _between(each: dict[str, Any]) -> str:
    if each["low"] is None or each["high"] is None:
        return "–"
    return f"{value_text(each['low'])} … {value_text(each['high'])}"
