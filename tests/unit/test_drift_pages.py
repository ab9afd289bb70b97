"""Drift pages: what moved is named right, nothing in data becomes markup, a page needs nobody else, and stays small."""

import json

import numpy as np
import pandas as pd
import pytest
from tests.drift_stream import profile_bytes
from tests.elements import Elements, asks_nobody

from longshore.cli.drift_story import Told as ToldStory
from longshore.cli.drift_story import lines
from longshore.monitor import distances
from longshore.monitor.pages.errors import error_map
from longshore.monitor.pages.history import POINTS, History
from longshore.monitor.pages.moved import bin_names, distribution, moved_ranges
from longshore.monitor.pages.of_events import EventsPage
from longshore.monitor.pages.of_report import page_of_report
from longshore.monitor.pages.page import html
from longshore.monitor.pages.pictures import Pictures
from longshore.monitor.pages.places import drawn
from longshore.monitor.pages.story import Stories, by_prefix
from longshore.monitor.pages.usual_lines import Usual, reference_bins
from longshore.monitor.pages.wording import METRICS
from longshore.monitor.reference import Reference
from longshore.pages import scales, wording
from longshore.pages.markup import Markup, tag
from longshore.profile import Profile
from longshore.records import DriftEvent, ModelEvent, ModelEventKind, Moved, Window
from longshore.tracing.drift import Told

START, STEP = 1_790_000_000_000, 5_000
HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m[red]"


def moved(name, p=0.5, *, alert=False, kind="numeric", psi=0.01):
    sigma = 0.05 if kind == "numeric" else None
    return Moved(name, kind, alert, p, psi, psi / 2, 0.04, 1.2, sigma, 0.03)


def event(kind, index, *, p=0.5, over=False, state="ok", episode="", streams=None, detail=None, generation=1):
    given = {"alert": over, "limit": 1e-4, "run_length": 1e6, "by_scale": {"1": p, "4": min(1.0, 2 * p)}}
    return DriftEvent(
        kind=kind,
        cause="covariate" if episode else "",
        stream_set="ships",
        model_version=f"v{generation}",
        generation=generation,
        window=Window(START + index * STEP, START + (index + 1) * STEP, 500),
        window_index=index,
        status="final",
        state=state,
        episode=episode,
        p_value=p,
        thresholds={"run_length": 1e6, "js_floor": 0.01, "rank_floor": 0.005},
        streams=streams or [moved("cargo", p, alert=over), moved("crew"), moved("flag", kind="nominal")],
        detail=given if kind == "verdict" and detail is None else (detail or {}),
    )


PICTURE = {
    "stream": "cargo",
    "bins": ["≤ 10", "≤ 20", "> 20", "(missing)"],
    "edges": [10.0, 20.0],
    "reference": [0.3, 0.3, 0.4, 0.0],
    "current": [0.1, 0.3, 0.6, 0.0],
}


def told_episode(resolved=True):
    """Calm, two windows over the limit, an alert, a request, a new model; written a second after each window."""
    events = [event("era", 0)] + [event("verdict", i) for i in range(6)]
    events.append(event("verdict", 6, p=1e-9, over=True, state="warning"))
    events.append(event("verdict", 7, p=1e-8, over=True, state="awaiting_labels", episode="abc123"))
    alert = {"windows": 2, **PICTURE}
    streams = [moved("cargo", 1e-8, alert=True, psi=0.4), moved("crew"), moved("flag", kind="nominal")]
    events.append(event("alert", 7, p=1e-8, state="alarm", episode="abc123", detail=alert, streams=streams))
    waiting = {"fresh_labels": 12, "needed": 2_000}
    events.append(event("awaiting_labels", 7, state="awaiting_labels", episode="abc123", detail=waiting))
    events.append(event("verdict", 8, p=1e-7, over=True, state="retraining", episode="abc123"))
    asked = {"trigger_id": "t1", "attempt": 1, "fresh_labels": 2_100}
    events.append(event("retraining", 8, state="retraining", episode="abc123", detail=asked))
    if resolved:
        events.append(event("resolved", 9, episode="abc123", detail={"reason": "a newer model's era began"}))
        events.append(event("era", 10, generation=2, state="cooldown"))
        events.append(event("verdict", 10, generation=2, state="cooldown"))
    return [Told(each, each.window.end + 1_000) for each in events]


def page_of(told):
    gathered = EventsPage()
    for one in told:
        gathered.add(one)
    profile = Profile.from_bytes(profile_bytes())
    return gathered.page(lambda version: profile if version == "v1" else None, name="ships", now_ms=START + 200_000)


def test_text_becomes_no_element_and_markup_is_not_escaped_twice():
    made = tag("p", HOSTILE, tag("b", "a & b"), None, class_="x", data_name='"><script>')
    assert "<img" not in made and "<script" not in made
    assert "<b>a &amp; b</b>" in made
    assert isinstance(made, Markup)
    assert tag("meta", charset="utf-8") == '<meta charset="utf-8">'


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (wording.p_text(0.53), "0.53"),
        (wording.p_text(3.14e-7), "3.1×10⁻⁷"),
        (wording.p_text(1e-300), "< 10⁻¹⁰⁰"),
        (wording.p_is(1e-300), "p < 10⁻¹⁰⁰"),
        (wording.value_text(None), "–"),
        (wording.value_text(float("nan")), "–"),
        (wording.value_text(12_345.6), "12,346"),
        (wording.value_text(0.0001), "10⁻⁴"),
        (wording.short_text(1_250_000), "1.25M"),
        (wording.share_text(0.1234), "12.3 %"),
        (wording.count_text(1, "window"), "1 window"),
        (wording.count_text(10_500, "window"), "10,500 windows"),
        (wording.time_text(0), "1970-01-01 00:00:00 UTC"),
        (wording.time_text(10**18), f"{10**18} ms"),
        (wording.span_text(7_500_000), "2 h 5 min"),
        (wording.listed(["a", "b", "c", "d"]), "a, b, c and 1 more"),
        (wording.listed(["a", "b"]), "a and b"),
        (wording.listed([]), ""),
    ],
)
def test_numbers_are_written_for_people(found, expected):
    assert found == expected


def test_edges_have_the_digits_that_tell_them_apart():
    assert wording.edge_texts([-122.41, -122.38, -121.2]) == ["-122.41", "-122.38", "-121.2"]
    assert wording.edge_texts([1_000.0, 25_000.0]) == ["1,000", "25,000"]
    assert wording.edge_texts([3.0]) == ["3"]
    assert wording.edge_texts([]) == []


def test_bins_are_named_as_ranges():
    assert bin_names(["", "", "", "(missing)"], [1.0, 2.0]) == ["up to 1", "1 to 2", "above 2", "missing"]
    heavy = [float(np.nextafter(52.0, 0)), 52.0]
    assert bin_names(["", "", "", "(missing)"], heavy)[1] == "exactly 52"
    assert bin_names(["a", "(unseen)", "(missing)"], []) == ["a", "unseen categories", "missing"]


def test_a_bins_part_is_its_psi_term_and_neighbours_that_moved_alike_are_one_range():
    then, now = [100, 100, 100, 100, 0], [100, 40, 160, 220, 0]
    found = distribution([""] * 5, [1.0, 2.0, 3.0], then, now, rows=(400, 520))
    p, q = distances.shares(np.array(then)), distances.shares(np.array(now))
    assert sum(each.term for each in found.bins) == pytest.approx(distances.population_stability_index(p, q), abs=1e-12)
    ranges = moved_ranges(found)
    assert [each.name for each in ranges] == ["1 to 2", "above 3"]
    wider = distribution([""] * 5, [1.0, 2.0, 3.0], then, [160, 160, 40, 40, 0], rows=(400, 400))
    assert [each.name for each in moved_ranges(wider)] == ["above 2", "up to 2"]
    assert sum(each.part for each in moved_ranges(wider)) == pytest.approx(1, abs=0.01)


def test_nothing_moved_has_no_range():
    same = distribution(["a", "b"], [], [5, 5], [5, 5], rows=(10, 10))
    assert moved_ranges(same) == []
    unknown = distribution(["a", "b"], [], [5, 5], None, rows=(10, 0))
    assert moved_ranges(unknown) == [] and not unknown.known


@pytest.mark.parametrize("high", [0.0, 1e-9, 0.03, 1.0, 7.0, 12_345.0, float("inf")])
def test_linear_ticks_begin_at_zero_and_stay_inside(high):
    ticks = [value for value, _ in scales.linear_ticks(high)]
    assert ticks[0] == 0
    assert len(ticks) <= 8
    assert all(value <= high * 1.0001 for value in ticks)


@pytest.mark.parametrize("span", [1, 999, 60_000, 3_600_000, 90_000_000, 10**10, 10**12])
def test_time_ticks_are_few_and_inside(span):
    ticks = scales.time_ticks(START, START + span)
    assert len(ticks) <= 40
    assert all(START <= at <= START + span for at, _ in ticks)
    assert scales.time_ticks(10**17, 10**17 + span) == [] or span < 1_000


def test_a_history_is_bounded_and_keeps_the_worst():
    history = History()
    worst = 7_321
    for i in range(10_000):
        history.add(event("verdict", i, p=1e-12 if i == worst else 0.5, over=i == worst))
    assert (history.windows, history.records, history.over) == (10_000, 5_000_000, 1)
    assert POINTS / 2 <= len(history.points) <= 2 * POINTS
    assert sum(point.moment.windows for point in history.points) == 10_000
    (over,) = [point for point in history.points if point.moment.over]
    assert over.moment.p_value == over.streams["cargo"]["p"] == 1e-12
    assert over.moment.start <= START + worst * STEP < over.moment.end
    assert history.expected_alerts == pytest.approx(5.0)


def test_points_of_two_models_are_never_merged():
    history = History(limit=4)
    for i in range(64):
        history.add(event("verdict", i, generation=1 + i // 32))
    assert {point.moment.generation for point in history.points} == {1, 2}
    assert all(p.moment.end <= START + 32 * STEP for p in history.points if p.moment.generation == 1)


def stories_of(told):
    stories = Stories()
    for one in told:
        stories.add(one)
    return list(stories.found.values())


def test_an_episode_begins_with_its_first_window_over_the_limit_and_tells_what_was_done():
    (story,) = stories_of(told_episode())
    assert story.began == START + 6 * STEP
    assert story.alerted == START + 8 * STEP
    assert story.ended == START + 10 * STEP
    assert story.moved() == ["cargo"]
    assert [step.kind for step in story.steps] == ["alert", "awaiting_labels", "retraining", "resolved"]
    assert story.first.kind == "verdict" and story.first.window_index == 7
    done = ModelEvent(ModelEventKind.PROMOTED, "m", "v2", 2, "t1", "gate", "better", story.steps[-1].at - 1)
    other = ModelEvent(ModelEventKind.REJECTED, "m", "v3", 0, "t9", "gate", "worse", 0)
    story.add_outcomes([done, other])
    assert [step.kind for step in story.steps][-2:] == ["promoted", "resolved"]
    assert "v2 promoted as generation 2 by gate: better" in story.steps[-2].text


def test_an_episode_whose_alert_was_not_read_is_told_from_what_there_is():
    (story,) = stories_of(told_episode()[-6:])
    assert story.alerted is None and story.alert is None
    assert story.ended is not None
    assert html(page_of(told_episode()[-6:]))


def test_episodes_are_found_by_prefix_and_as_the_last():
    stories = stories_of(told_episode())
    assert by_prefix(stories, "ab") == by_prefix(stories, "last") == stories
    assert by_prefix(stories, "x") == [] == by_prefix([], "last")


def test_a_verdicts_bins_of_all_streams_are_used_when_it_has_them():
    profile = Profile.from_bytes(profile_bytes())
    pictures = Pictures()
    assert not pictures.distribution("crew", profile).known
    flag = next(stream for stream in profile.streams if stream.name == "flag")
    _, _, counts = reference_bins(flag)
    bins = {"cargo": {key: PICTURE[key] for key in PICTURE if key != "stream"}, "flag": counts.tolist(), "crew": [1]}
    pictures.add(event("verdict", 1, detail={"alert": False, "bins": bins}))
    cargo = pictures.distribution("cargo", profile)
    assert [each.now for each in cargo.bins] == pytest.approx(PICTURE["current"])
    same = pictures.distribution("flag", profile)
    assert same.known and all(each.then == each.now for each in same.bins)
    assert not pictures.distribution("crew", profile).known, "other bins than the profile's"
    pictures.add(event("era", 2))
    assert not pictures.distribution("cargo", profile).known


def test_usual_lines_are_the_calibrations_and_in_sigma():
    profile = Profile.from_bytes(profile_bytes())
    usual = Usual(profile)
    found = usual.of("cargo", 1_000)
    assert set(found) == set(METRICS)
    assert all(low <= middle <= high for low, middle, high in found.values())
    assert found["wasserstein"][1] < 1, "in standard deviations"
    assert usual.of("nobody", 1_000) == {}


def test_the_page_of_events_tells_state_alerts_and_what_moved():
    page = page_of(told_episode(resolved=False))
    assert page.tone == "bad"
    assert page.sentence.startswith("1 alert in 9 windows (4,500 records). ")
    assert "cargo up to 10: 30.0 % of the reference, 10.0 % at the alert" in page.sentence
    assert [part.name for part in page.parts] == ["cargo", "crew", "flag"]
    cargo = page.parts[0]
    assert [line.reading.metric for line in cargo.lines] == list(METRICS)
    assert all(len(line.values) == len(line.usual) == len(page.moments) for line in cargo.lines)
    assert all(value is not None for line in cargo.lines for value in line.usual)
    assert cargo.distribution.known and not page.parts[1].distribution.known
    (band,) = page.bands
    assert band.ended is None and band.picture[0] == "cargo"


def test_a_version_without_a_profile_costs_its_lines_and_is_said():
    page = page_of(told_episode())
    assert any("no readable profile of v2" in note for note in page.notes)
    assert page.parts[0].distribution is None
    assert page.bands[0].picture is not None, "the alert's own"
    assert [version for _, version in page.eras] == ["v1", "v2"]


def test_fixed_thresholds_in_an_event_are_drawn():
    told = told_episode(resolved=False)
    last = told[-2].event
    assert last.kind == "verdict"
    last.thresholds.update({"psi": 0.2, "cargo.ks": 0.1, "crew.ks": 0.3, "ks": 0.5})
    first = page_of(told).parts[0]
    fixed = {line.reading.metric: line.reading.fixed for line in first.lines}
    assert (fixed["psi"], fixed["ks"], fixed["js"]) == (0.2, 0.1, None)


@pytest.mark.parametrize("resolved", [True, False])
def test_a_page_is_whole_and_asks_nobody_for_anything(resolved):
    text = html(page_of(told_episode(resolved)))
    elements = Elements(text)
    asks_nobody(text)
    addresses = [a.get("href") or a.get("src") for _, a in elements.found if "href" in a or "src" in a]
    assert addresses and all(address.startswith("#stream-") for address in addresses)
    ids = [a["id"] for _, a in elements.found if "id" in a]
    assert len(ids) == len(set(ids)) and {f"#{one}" for one in ids} >= set(addresses)
    assert any(a.get("http-equiv") == "Content-Security-Policy" for _, a in elements.found)
    assert "prefers-color-scheme: dark" in text
    pictures = [a for name, a in elements.found if name == "svg"]
    assert len(pictures) > 15 and all(a.get("role") == "img" for a in pictures)
    assert text.count("<svg") == text.count("</svg>") and "nan" not in " ".join(str(a) for _, a in elements.found)
    assert all(a.get("aria-label") for name, a in elements.found if name == "table")


def test_every_picture_has_a_title():
    text = html(page_of(told_episode()))
    starts = [at for at in range(len(text)) if text.startswith("<svg", at)]
    assert all(text[text.index(">", at) + 1 :].startswith("<title>") for at in starts)


def test_hostile_names_stay_text():
    streams = [moved(HOSTILE, 1e-9, alert=True), moved('"><script>alert(1)</script>', kind="nominal")]
    told = [Told(event("verdict", i, streams=streams), START) for i in range(3)]
    detail = {"windows": 1, **PICTURE, "stream": HOSTILE, "bins": [HOSTILE] * 4, "edges": []}
    told.append(Told(event("alert", 2, streams=streams, episode=HOSTILE, detail=detail), START))
    elements = Elements(html(page_of(told)))
    assert elements.names().isdisjoint({"script", "img"})
    assert any(HOSTILE in text for text in elements.texts)


def test_a_long_stream_makes_a_small_page():
    told = [Told(event("verdict", i), START) for i in range(3_000)]
    text = html(page_of(told))
    assert len(text) < 600_000
    assert "A point stands for up to" in text


def test_one_window_makes_a_page():
    assert Elements(html(page_of([Told(event("verdict", 0), START)])))
    tiny = event("verdict", 0)
    empty = DriftEvent(**{name: getattr(tiny, name) for name in tiny.__struct_fields__} | {"streams": []})
    assert Elements(html(page_of([Told(empty, START)])))


def test_no_verdict_is_no_page():
    gathered = EventsPage()
    gathered.add(Told(event("era", 0), START))
    assert not gathered.judged
    with pytest.raises(ValueError, match="no verdict"):
        gathered.page(lambda _: None, name="x", now_ms=0)


def frame(rows, seed, shift=0.0):
    random = np.random.default_rng(seed)
    east, north = random.uniform(-10, 10, rows), random.uniform(40, 50, rows)
    level = random.normal(size=rows) + np.where(east > 0, shift, 0.0)
    many = random.choice([f"kind {i}" for i in range(40)], rows)
    return pd.DataFrame({"level": level, "east": east, "north": north, "many": many, "same": 1.0})


@pytest.fixture(scope="module")
def fitted():
    return Reference.fit(frame(2_000, 1), place=("east", "north"))


def test_the_page_of_a_comparison_has_every_distribution_and_the_place(fitted):
    report = fitted.compare(frame(1_500, 2, shift=0.8))
    page = page_of_report(report, reference="a.csv", current="b.csv", now_ms=START, profile=fitted.profile)
    assert [part.name for part in page.parts] == [stream.name for stream in report.streams]
    assert page.parts[0].name == "level" and page.parts[0].alert
    assert page.sentence.startswith("level moved (level above")
    assert all(part.distribution.known for part in page.parts)
    for part, stream in zip(page.parts, report.streams, strict=True):
        assert sum(each.term for each in part.distribution.bins) == pytest.approx(stream.psi, abs=1e-12)
    hot = [cell for cell in page.places.map.cells if cell.strength]
    assert hot and all(cell.east > 0 for cell in hot)
    elements = Elements(html(page))
    assert any(a.get("class") == "map" for name, a in elements.found if name == "svg")
    assert any("27 others" in text for text in elements.texts)


def test_the_errors_map_marks_the_cells_whose_error_grew_by_more_than_chance(fitted):
    map_ = next(one for one in fitted.profile.segmentations if len(one.streams) == 2)
    told = [
        {"segmentation": map_.name, "segment": label, "n": 50, "mae": mae, "mae_then": 1.0, "p_value": p_value}
        for label, mae, p_value in zip(map_.labels[:4], (3.0, 2.0, 5.0, 0.5), (1e-6, 1e-3, 0.4, 1.0), strict=True)
    ]
    found = error_map(told, fitted.profile)
    assert [cell.strength for cell in found.cells[:5]] == [1.0, 0.5, 0.0, 0.0, 0.0]
    assert found.cells[0].told == f"{map_.labels[0]}: MAE 3, 1 then; 50 labels"
    assert found.cells[4].told == f"{map_.labels[4]}: too few labels"
    assert "2 of 16 cells grew" in str(drawn(found))
    assert error_map(told, None) is None


def test_a_comparison_without_drift_marks_nothing(fitted):
    report = fitted.compare(frame(1_500, 3))
    assert not report.alert
    page = page_of_report(report, reference="a.csv", current="b.csv", now_ms=START)
    assert page.tone == "good" and page.sentence.startswith("Nothing moved more than chance")
    assert "now moved" not in html(page)


def test_an_episode_is_told_on_a_terminal_and_as_json():
    (story,) = stories_of(told_episode(resolved=False))
    bins = [PICTURE[key] for key in ("bins", "edges", "reference", "current")]
    found = {"cargo": distribution(*bins, rows=(5_000, 500))}
    told = ToldStory(story, Profile.from_bytes(profile_bytes()), found)
    text = "\n".join(str(line) for line in lines(told))
    assert "Episode abc123: covariate drift under model v1" in text
    assert "Where cargo moved" in text and "above 20: 40.0 % then, 60.0 % at the alert" in text
    assert "the last 4 windows together" in text
    assert "Retraining requested: attempt 1, 2,100 fresh labels" in text
    plain = json.loads(json.dumps(told.to_dict()))
    assert plain["by_scale"] == {"1": 1e-8, "4": 2e-8}
    assert plain["streams"][0]["name"] == "cargo" and plain["streams"][0]["usual_95"]["psi"] > 0
    assert {each["range"] for each in plain["ranges"]["cargo"]} == {"above 20", "up to 10"}
    assert [step["kind"] for step in plain["steps"]] == ["alert", "awaiting_labels", "retraining"]
    assert plain["triggers"] == ["t1"]


def test_what_is_hostile_acts_on_no_terminal():
    alert = event("alert", 0, streams=[moved(HOSTILE, alert=True)], episode="e", detail={"windows": 1, "bad": HOSTILE})
    (story,) = stories_of([Told(alert, START)])
    shown = "".join(str(line) for line in lines(ToldStory(story, None, {})))
    assert "\x1b" not in shown


def test_segments_in_an_alert_are_told():
    place = {
        "segmentation": "flag", "segment": "PA", "stream": "cargo", "rows": 120, "share": 0.24,
        "reference_share": 0.25, "p_value": 1e-6, "js": 0.2,
    }  # fmt: skip
    told = told_episode(resolved=False)
    alert = next(one.event for one in told if one.event.kind == "alert")
    alert.detail["segments"] = [place]
    page = page_of(told)
    assert page.places.segments[0].segment == "PA" and page.places.map is None
    assert "24.0 % now" in html(page) and "25.0 % then" in html(page)
    story = ToldStory(stories_of(told)[0], None, {})
    assert "flag, PA: cargo, p = 10⁻⁶, JS 0.2" in "\n".join(str(line) for line in lines(story))
    assert story.to_dict()["segments"] == [place]
    alert.detail["segments"] = [{"other": 1}]
    assert page_of(told).places is None, "another form is passed over"
