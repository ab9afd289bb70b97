"""The part of a page that tells of faults of the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from longshore.monitor.pages.quality import Trouble
from longshore.pages import document
from longshore.pages.markup import Markup, tag
from longshore.pages.wording import count_text, p_text, time_text


def quality_section(found: Sequence[Trouble], picture: Markup | None = None) -> Markup:
    """What lasts, with a sentence for each fault; the faults over time; the quality episodes there were."""
    parts = [_lasting(found[-1])] if found and found[-1].ended is None else [tag("p", "No fault lasts.")]
    if not found and picture is not None:
        parts = [tag("p", "Faults that had begun before this range; what they are was told then.")]
    if picture is not None:
        legend = [("fault", "holds retraining back"), ("mild", "told; holds nothing back")]
        parts += [tag("h4", "Over time"), document.scrolling(picture), document.legend(legend)]
    over = [trouble for trouble in reversed(found) if trouble.ended is not None]
    if over:
        parts.append(tag("details", tag("summary", f"Earlier: {count_text(len(over))}"), *(_past(one) for one in over)))
    return tag("section", tag("h2", "Data quality", id="quality"), *parts)


def _lasting(trouble: Trouble) -> Markup:
    state = "quarantine: no retraining until it is over" if trouble.holds else "told; holds nothing back"
    head = tag(
        "div",
        tag("h3", f"Since {time_text(trouble.began)} (event time)"),
        tag("span", state, class_="pill bad" if trouble.holds else "pill watch"),
        class_="head",
    )
    rows = [_row(fault) for fault in trouble.faults]
    heads = ("stream", "fault", "what", "p", "since")
    return tag("div", head, document.table("Faults that last, as the last change told them.", heads, rows))


def _row(fault: dict[str, Any]) -> Markup:
    p, since = fault.get("p_value"), fault.get("since")
    return tag(
        "tr",
        tag("th", str(fault["stream"]), scope="row"),
        tag("td", str(fault["kind"]), class_="left"),
        tag("td", str(fault["text"]), class_="left"),
        tag("td", p_text(float(p)) if isinstance(p, int | float) else "–"),
        tag("td", time_text(since) if isinstance(since, int) else "–"),
    )


def _past(trouble: Trouble) -> Markup:
    ended = f" to {time_text(trouble.ended)}" if trouble.ended is not None else ""
    told = tag("ul", *(tag("li", text) for text in trouble.seen.values()))
    return tag("div", tag("h4", f"{time_text(trouble.began)}{ended}"), told)
