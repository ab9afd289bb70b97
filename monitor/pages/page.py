"""A page's HTML: one text that needs no network, no script and no library, light or dark as the reader has it."""

from __future__ import annotations

from longshore.monitor.pages import bars, charts, places
from longshore.monitor.pages.contents import Band, Line, Page, Part, Reading
from longshore.monitor.pages.moved import Distribution, Range
from longshore.monitor.pages.places import Places
from longshore.monitor.pages.quality_section import quality_section
from longshore.monitor.pages.style import CSS
from longshore.monitor.pages.wording import METRICS, outside_text
from longshore.pages import document
from longshore.pages.markup import Markup, tag
from longshore.pages.wording import count_text, p_is, p_text, share_text, time_text, value_text


def html(page: Page) -> str:
    """The whole document."""
    header = document.header(page.title, page.subtitle, page.state, page.tone)
    return document.document(page.title, CSS, header, _sections(page), _footer(page))


def _sections(page: Page) -> list[Markup]:
    sections = [document.headline(page.sentence, page.tiles, page.notes), *page.before]
    if page.quality or page.fault_line is not None:
        sections.append(quality_section(page.quality, page.fault_line))
    if page.moments:
        sections.append(_evidence(page))
    if page.bands:
        sections.append(tag("section", tag("h2", "Episodes"), *(_episode(band) for band in reversed(page.bands))))
    if page.errors is not None:
        sections.append(page.errors)
    sections += page.after
    sections.append(_streams(page))
    if page.places is not None:
        sections.append(_places(page.places))
    return [*sections, *(_part(page, at, part) for at, part in enumerate(page.parts))]


def _evidence(page: Page) -> Markup:
    chart = charts.evidence_chart(page.moments, page.bands, page.eras)
    entries = [("now", "p-value of a window, all streams together"), ("limit", "the limit")]
    entries += [("moved", "over the limit")] + ([("band", "episode")] if page.bands else [])
    return tag(
        "section",
        tag("h2", "How unusual each window was"),
        tag("div", chart, class_="wide newest", tabindex=0),
        document.legend(entries),
        tag("p", f"Rarer is higher. {page.level}", class_="quiet"),
        _moments_table(page),
    )


def _moments_table(page: Page) -> Markup:
    heads = ("window to (event time)", "windows", "records", "p", "limit", "most moved", "model")
    rows = [
        tag(
            "tr",
            tag("td", time_text(m.end)),
            tag("td", count_text(m.windows)),
            tag("td", count_text(m.records)),
            tag("td", p_text(m.p_value), class_="over" if m.over else None),
            tag("td", p_text(m.limit) if m.limit else "–"),
            tag("td", m.top or "–"),
            tag("td", m.version),
        )
        for m in reversed(page.moments)
    ]
    table = document.table("Newest first; over the limit in red.", heads, rows)
    return tag("details", tag("summary", "These values as a table"), table)


def _episode(band: Band) -> Markup:
    ended = "lasts" if band.ended is None else f"to {time_text(band.ended)}"
    steps = [tag("li", tag("time", at), text) for at, text in band.steps]
    parts = [
        tag(
            "div",
            tag("h3", f"Episode {band.id}"),
            tag("span", f"{band.cause or 'drift'} drift", class_="pill bad" if band.ended is None else "pill watch"),
            class_="head",
        ),
        tag("p", f"From {time_text(band.began)} (event time), {ended}; model {band.version}.", class_="quiet"),
    ]
    told = tag("div", tag("h4", "What was done"), tag("ol", *steps, class_="steps"))
    if band.picture is None:
        return tag("div", *parts, told, class_="episode")
    name, found = band.picture
    drawing = _drawing(f"{name}, then and at the alert", found, name, moved=True)
    return tag("div", *parts, tag("div", drawing, told, class_="two"), class_="episode")


def _streams(page: Page) -> Markup:
    heads = ["stream", "", "p", *METRICS.values()] + (["p over time"] if page.moments else [])
    heads[heads.index("Wasserstein")] = "Wasserstein, σ*"
    limit = page.moments[-1].limit if page.moments else None
    rows = [_row(page, at, part, limit) for at, part in enumerate(page.parts)]
    window = "In the last window" if page.moments else "In this comparison"
    caption = f"{window}, most moved first. Small: 95 % of windows of this size stay below it when nothing drifts."
    nominal = tag("p", "* Nominal streams: total variation of their shares.", class_="quiet")
    return tag("section", tag("h2", "Streams"), document.table(caption, tuple(heads), rows), nominal)


def _places(found: Places) -> Markup:
    moved = [each for each in found.segments if each.p_value <= places.LEVEL]
    rows = [
        tag(
            "tr",
            tag("th", each.segment, tag("small", each.segmentation), scope="row", class_="name"),
            tag("td", each.stream, class_="left"),
            tag("td", p_text(each.p_value), class_="over"),
            tag("td", value_text(each.js)),
            _segment_rows(each.rows, each.share, each.reference_share),
        )
        for each in moved
    ]
    caption = "Streams within segments of the rows, most moved first; p-values adjusted for all of them."
    heads = ("segment", "stream", "p", "JS", "rows")
    table = document.table(caption, heads, rows, "tight") if moved else tag("p", "No segment moved by itself.")
    if found.map is None:
        return tag("section", tag("h2", "Where"), table)
    legend = document.legend([("moved", "moved; stronger where more"), ("then", "did not, by itself")])
    drawing = tag("figure", tag("h4", "On the map"), places.drawn(found.map), legend)
    return tag("section", tag("h2", "Where"), tag("div", drawing, tag("div", table), class_="two"))


def _row(page: Page, at: int, part: Part, limit: float | None) -> Markup:
    cells = [
        tag("th", tag("a", part.name, href=f"#stream-{at}"), scope="row"),
        tag("td", tag("span", "moved", class_="pill bad") if part.alert else part.kind, class_="left"),
        tag("td", p_text(part.p_value), class_="over" if part.alert else None),
        *(_reading(reading) for reading in part.readings),
    ]
    if page.moments:
        cells.append(tag("td", charts.spark(part.p_values, limit)))
    return tag("tr", *cells)


def _reading(reading: Reading) -> Markup:
    usual = tag("small", f"≤ {value_text(reading.usual[1], 2)}") if reading.usual else None
    return tag("td", value_text(reading.value), usual, class_="over" if reading.unusual else None)


def _segment_rows(rows: int, now: float, then: float) -> Markup:
    shares = (tag("small", f"{share_text(now)} now"), tag("small", f"{share_text(then)} then"))
    return tag("td", count_text(rows), *shares)


def _part(page: Page, at: int, part: Part) -> Markup:
    state = tag("span", "moved" if part.alert else "did not move", class_="pill bad" if part.alert else "pill good")
    head = tag("div", tag("h3", part.name, id=f"stream-{at}"), state, class_="head")
    told = tag("p", f"{part.kind}, {p_is(part.p_value)} (adjusted for all streams and tests)", class_="quiet")
    metrics = [_chart(page, line) for line in part.lines] if part.lines else [_bullets(part)]
    right = tag("div", *metrics, class_="metrics") if part.lines else tag("div", *metrics)
    return tag("section", head, told, tag("div", _shares(part), right, class_="two"))


def _shares(part: Part) -> Markup:
    found = part.distribution
    if found is None:
        return tag("div", tag("p", "No distribution is known of this stream.", class_="quiet"))
    heading = "Then and now" if found.known else "In the reference"
    drawing = _drawing(heading, found, part.name, moved=part.alert)
    told = []
    if found.source:
        told.append(tag("p", found.source[:1].upper() + found.source[1:] + ".", class_="quiet"))
    if found.edges:
        told.append(tag("p", "Columns: the reference's tenths, as far as its values allow.", class_="quiet"))
    if part.alert and (beyond := outside_text(part.outside)):
        told.append(tag("p", f"{beyond[:1].upper()}{beyond[1:]}."))
    if part.ranges and part.alert:
        told.append(tag("ul", *(tag("li", range_text(each)) for each in part.ranges), class_="ranges"))
    return tag("div", drawing, *told)


def _drawing(heading: str, found: Distribution, name: str, *, moved: bool) -> Markup:
    drawn = bars.drawn(found, name, moved=moved)
    return tag("figure", tag("h4", heading), drawn, _shares_legend(found, moved=moved))


def range_text(each: Range) -> str:
    """A range that moved, in words."""
    return f"{each.name}: {share_text(each.then)} then, {share_text(each.now)} now ({each.part * 100:.0f} % of the PSI)"


def _shares_legend(found: Distribution, *, moved: bool) -> Markup:
    entries = [("then", "reference")]
    if found.known:
        entries += [("now", "now")] + ([("moved", "now, in bins that make up the drift")] if moved else [])
    return document.legend(entries)


def _chart(page: Page, line: Line) -> Markup:
    reading = line.reading
    usual = f" usually ≤ {value_text(reading.usual[1], 2)}" if reading.usual else ""
    value = tag("b", value_text(reading.value), class_="over" if reading.unusual else None)
    caption = tag("figcaption", f"{reading.title} ", value, tag("span", usual))
    return tag("figure", caption, charts.metric_chart(line, page.moments, page.bands, page.eras))


def _bullets(part: Part) -> Markup:
    rows = []
    for reading in part.readings:
        usual = [value_text(each, 2) for each in reading.usual] if reading.usual else ["–"] * 3
        rows.append(
            tag(
                "tr",
                tag("th", reading.title, scope="row"),
                tag("td", value_text(reading.value), class_="over" if reading.unusual else None),
                tag("td", bars.bullet(reading), class_="left"),
                *(tag("td", each) for each in usual),
            )
        )
    caption = f"Beside what is usual for {count_text(part.usual_rows, 'row')} without drift: median, 95 % and 99 %."
    return document.table(caption, ("metric", "value", "", "median", "95 %", "99 %"), rows, "tight")


def _footer(page: Page) -> str:
    lines = "Dashed lines and small numbers: what 95 % of windows of the same size stay below when nothing drifts" + (
        "; dotted: the effect floor of the JS distance." if page.moments else "."
    )
    return (
        f"Made by longshore {page.made}. p-values are adjusted for all streams and tests. PSI, KL and JS are of the "
        f"reference's tenths or categories; KL and PSI in nats. {lines}"
    )
