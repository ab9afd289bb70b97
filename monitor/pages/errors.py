"""Realised errors on a page: the windows of labels in the order they came, thinned, and the last one in figures.

What the figures mean is `longshore.monitor.performance`'s; here is how they are gathered from `performance` events and
shown. However long the stream, at most `2 × POINTS` windows are held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from longshore.monitor.fairness_watch import FAIRNESS
from longshore.monitor.pages import charts, places
from longshore.monitor.pages.contents import Band, Line, Moment, Reading
from longshore.monitor.pages.fairness import groups_part
from longshore.monitor.pages.history import number
from longshore.pages import document
from longshore.pages.markup import Markup, tag
from longshore.pages.wording import count_text, p_text, time_text, value_text
from longshore.profile import Profile
from longshore.records import DriftEvent

POINTS = 160
FIGURES = {"rmse": "RMSE", "mae": "MAE", "bias": "bias", "r2": "R²", "coverage": "coverage"}
CLASSES = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1": "F1", "auc_roc": "AUC-ROC"}
GREW = 0.01
"""Adjusted p-value below which a segment is shown as grown."""
SEGMENTS_SHOWN = 12
"""In the table; the map has all that were told."""


@dataclass(frozen=True, slots=True)
class Window:
    """One window of labels, or several as the one with the largest error: figures now and then, and the test's."""

    moment: Moment
    now: dict[str, Any]
    then: dict[str, Any]
    evidence: float | None
    limit: float | None


class ErrorHistory:
    """All windows of labels in at most `2 × limit` points."""

    def __init__(self, limit: int = POINTS) -> None:
        self._limit = limit
        self.labels = self.count = self.grown = 0
        self.windows: list[Window] = []
        self.last: DriftEvent | None = None
        self.groups: DriftEvent | None = None

    def add(self, event: DriftEvent) -> None:
        """Take in a `performance` or a `fairness` event."""
        if event.kind == FAIRNESS:
            self.groups = event
            return
        self.last = event
        self.count += 1
        self.grown += _grew(event)
        self.labels += event.window.records
        self.windows.append(_window(event))
        if len(self.windows) >= 2 * self._limit:
            pairs = zip(self.windows[::2], self.windows[1::2], strict=False)
            self.windows = [_worse(first, second) for first, second in pairs]

    def to_dict(self) -> dict[str, Any] | None:
        """The last window of labels and how many there were; None where no label has come."""
        if self.last is None:
            return None
        detail = self.last.detail
        told = {name: detail.get(name) for name in ("figures", "validation", "excess", "loss_test", "by_segment")}
        counts = {"labels": self.labels, "windows": self.count, "windows_grown": self.grown}
        return counts | {"window": self.last.window, "model_version": self.last.model_version} | told


def _window(event: DriftEvent) -> Window:
    detail = event.detail
    test = detail.get("loss_test") or {}
    over = bool(detail.get("alarm") or detail.get("grew"))
    p_value = number(detail.get("excess") or {}, "p_value")
    moment = Moment(
        event.window.start, event.window.end, event.window.records, 1, event.window_index, event.generation,
        event.model_version, 1.0 if p_value is None else p_value, None, over, "",
    )  # fmt: skip
    then = {**(detail.get("validation") or {}), "coverage": number(detail, "expected_coverage")}
    return Window(moment, detail.get("figures") or {}, then, number(test, "evidence"), number(test, "limit"))


def _worse(first: Window, second: Window) -> Window:
    """The one with the larger error; of two models the later."""
    if first.moment.generation != second.moment.generation:
        return second
    return max(first, second, key=lambda window: number(window.now, "rmse") or 0.0)


def section(
    history: ErrorHistory, bands: Sequence[Band], eras: Sequence[tuple[int, str]], profile: Profile | None = None
) -> Markup:
    """The page's section on realised errors; `profile`: of the last window's version, for the map."""
    last = history.last
    assert last is not None  # noqa: S101  (only asked for where there is one)
    moments = [window.moment for window in history.windows]
    drawn = [_figure(metric, history.windows, moments, bands, eras) for metric in _told(history.windows)]
    drawn += [_chart(line, moments, bands, eras) for line in _evidence(history.windows)]
    legend = document.legend(
        [
            ("now", "windows of labels, by the time of their records"),
            ("interval", "their interval of 95 %"),
            ("usual", "the version's held-out rows (coverage: as stated), or the limit"),
        ]
    )
    return tag(
        "section",
        tag("h2", "Realised error", id="errors"),
        tag("p", sentence(last), class_="over" if _grew(last) else None),
        tag("div", *drawn, class_="metrics"),
        legend,
        _figures_table(last),
        _classes_table(last),
        _segments(last, profile),
        groups_part(history.groups) if history.groups else None,
        tag("p", _left_out(last), class_="quiet"),
    )


def sentence(event: DriftEvent) -> str:
    """The last window of labels in a sentence."""
    detail = event.detail
    now, then, excess = (detail.get(name) or {} for name in ("figures", "validation", "excess"))
    text = f"{count_text(event.window.records, 'label')} up to {time_text(event.window.end)}: "
    text += f"RMSE {value_text(number(now, 'rmse'))}"
    if (ratio := number(excess, "rmse_ratio")) is not None:
        text += f", {ratio:.2f} times that of held-out rows ({value_text(number(then, 'rmse'))})"
    text += f"; bias {value_text(number(now, 'bias'))}. {test_text(detail)}"
    return text


def test_text(detail: dict[str, Any]) -> str:
    """How the loss test stands, in words."""
    test = detail.get("loss_test") or {}
    if "untested" in test:
        return f"No loss test: {test['untested']}."
    evidence, limit = number(test, "evidence"), number(test, "limit")
    if evidence is None or limit is None:
        return "No loss test."
    run = count_text(number(test, "run_length") or 0, "label")
    limited = ", which is longer than the held-out rows can vouch for" if test.get("reference_limited") else ""
    if evidence >= limit:
        return (
            f"The loss test is over its limit (one false alarm in {run}{limited}): {detail.get('moved') or 'changed'}."
        )
    return f"The loss test is below its limit: {evidence:.1f} of {limit:.1f} (one false alarm in {run}{limited})."


def _grew(event: DriftEvent) -> bool:
    return bool(event.detail.get("alarm") or event.detail.get("grew"))


def _told(windows: Sequence[Window]) -> list[str]:
    """The figures that some window has."""
    return [metric for metric in FIGURES if any(number(window.now, metric) is not None for window in windows)]


def _figure(
    metric: str,
    windows: Sequence[Window],
    moments: Sequence[Moment],
    bands: Sequence[Band],
    eras: Sequence[tuple[int, str]],
) -> Markup:
    """One figure over time with its intervals, beside validation's."""
    values = [number(window.now, metric) for window in windows]
    then = [number(window.then, metric) for window in windows]
    line = Line(Reading(metric, FIGURES[metric], values[-1]), values, then)
    ends = [_ends(window.now, metric) for window in windows]
    usual = tag("span", f" held-out {value_text(then[-1])}") if then[-1] is not None else None
    caption = tag("figcaption", f"{FIGURES[metric]} ", tag("b", value_text(values[-1])), usual)
    from_zero = metric in ("rmse", "mae", "bias")
    return tag("figure", caption, charts.figure_chart(line, ends, moments, bands, eras, from_zero=from_zero))


def _evidence(windows: Sequence[Window]) -> list[Line]:
    """The loss test over time, where one was made."""
    evidence = [None if window.evidence is None else max(window.evidence, 0.0) for window in windows]
    if all(value is None for value in evidence):
        return []
    limits = [window.limit for window in windows]
    return [Line(Reading("evidence", "Loss test, log evidence", evidence[-1]), evidence, limits)]


def _chart(line: Line, moments: Sequence[Moment], bands: Sequence[Band], eras: Sequence[tuple[int, str]]) -> Markup:
    caption = tag("figcaption", f"{line.reading.title} ", tag("b", value_text(line.reading.value)))
    return tag("figure", caption, charts.metric_chart(line, moments, bands, eras))


def _figures_table(event: DriftEvent) -> Markup:
    now, then = (event.detail.get(name) or {} for name in ("figures", "validation"))
    expected = number(event.detail, "expected_coverage")
    rows = []
    for metric, title in FIGURES.items():
        if number(now, metric) is None:
            continue
        before = number(then, metric) if metric != "coverage" else expected
        rows.append(
            tag(
                "tr",
                tag("th", title, scope="row"),
                tag("td", value_text(number(now, metric))),
                tag("td", _interval(now, metric)),
                tag("td", value_text(before)),
                tag("td", _interval(then, metric) if metric != "coverage" else "stated"),
            )
        )
    caption = "The last window of labels beside the version's held-out rows; intervals of 95 %."
    return document.table(caption, ("figure", "now", "interval", "then", "interval"), rows, "tight")


def _classes_table(event: DriftEvent) -> Markup | None:
    found = event.detail.get("classification")
    if not found or not found.get("now"):
        return None
    now, then = found["now"], found.get("then") or {}
    rows = [
        tag("tr", tag("th", title, scope="row"), *(tag("td", value_text(number(side, name))) for side in (now, then)))
        for name, title in CLASSES.items()
    ]
    rows += [
        tag("tr", tag("th", name.replace("_", " "), scope="row"), tag("td", count_text(count)), tag("td", ""))
        for name, count in now["confusion"].items()
    ]
    return document.table("As a classifier, at one half.", ("figure", "now", "then"), rows, "tight")


def _ends(figures: dict[str, Any], metric: str) -> tuple[float, float] | None:
    found = figures.get(f"{metric}_interval")
    if not isinstance(found, list | tuple) or len(found) != 2 or None in found:
        return None
    return float(found[0]), float(found[1])


def _interval(figures: dict[str, Any], metric: str) -> str:
    found = _ends(figures, metric)
    return "–" if found is None else f"{value_text(found[0])} … {value_text(found[1])}"


def _segments(event: DriftEvent, profile: Profile | None) -> Markup | None:
    """The segments as a table and, where two streams are a place, on a map."""
    segments = event.detail.get("by_segment") or []
    if not segments:
        return None
    table, found = _segments_table(segments[:SEGMENTS_SHOWN]), error_map(segments, profile)
    if found is None:
        return table
    legend = document.legend([("moved", "grew; stronger where more"), ("then", "did not, or has too few labels")])
    drawing = tag("figure", tag("h4", "MAE on the map, beside held-out rows"), places.drawn(found), legend)
    return tag("div", drawing, tag("div", table), class_="two")


def error_map(segments: list[dict[str, Any]], profile: Profile | None) -> places.Map | None:
    """Cells marked by how far their MAE grew, those of them that grew by more than chance."""
    by_label = {(each["segmentation"], each["segment"]): each for each in segments}
    growth = {at: each["mae"] / each["mae_then"] - 1.0 for at, each in by_label.items() if each["mae_then"] > 0}
    grown = {at: value for at, value in growth.items() if by_label[at]["p_value"] < GREW and value > 0}

    def told(segmentation: str, label: str) -> tuple[str, float]:
        each = by_label.get((segmentation, label))
        if each is None:
            return "too few labels", 0.0
        text = f"MAE {value_text(each['mae'])}, {value_text(each['mae_then'])} then; {count_text(each['n'], 'label')}"
        at = (segmentation, label)
        return text, grown[at] / max(grown.values()) if at in grown else 0.0

    return places.map_of(profile, told, "grew")


def _segments_table(segments: list[dict[str, Any]]) -> Markup:
    rows = [
        tag(
            "tr",
            tag("th", str(each["segment"]), tag("small", str(each["segmentation"])), scope="row", class_="name"),
            tag("td", count_text(each["n"])),
            tag("td", value_text(each["mae"])),
            tag("td", value_text(each["mae_then"])),
            tag("td", value_text(each["bias"])),
            tag("td", p_text(each["p_value"]), class_="over" if each["p_value"] < GREW else None),
        )
        for each in segments
    ]
    caption = "By segment, most grown first: one-sided p-value of the mean of |error|, adjusted for all segments."
    return document.table(caption, ("segment", "labels", "MAE", "then", "bias", "p"), rows, "tight")


def _left_out(event: DriftEvent) -> str:
    counts = event.detail.get("left_out") or {}
    told = [f"{count_text(value)} {name}" for name, value in counts.items() if value]
    return f"Left out so far: {', '.join(told)}." if told else "No label was left out."
