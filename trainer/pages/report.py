"""A version's solution report and model card: the same sections, as a page with pictures and as Markdown without.

Everything in it is read off the manifest, the training rows' summary and the test rows; nothing is said that was not
measured. Whether the version goes live is decided later, by the gate, and is in the registry's history.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from longshore.columns import Floats
from longshore.pages.document import Tile, document, header, headline
from longshore.pages.wording import count_text, listed, share_text, time_text, value_text
from longshore.trainer.comparison import LOSSES
from longshore.trainer.framing import from_manifest
from longshore.trainer.pages import contents, of_manifest
from longshore.trainer.pages.changes import missing_share
from longshore.trainer.pages.chosen import chosen
from longshore.trainer.pages.contents import Section, Table, interval_text
from longshore.trainer.pages.explored import piled_texts
from longshore.trainer.pages.judged import (
    Judged,
    SegmentError,
    by_segment,
    result_pictures,
    segment_picture,
    spread_texts,
    worst_section,
)
from longshore.trainer.pages.pictures import reach
from longshore.trainer.pages.style import CSS
from longshore.trainer.pages.summary import Summary
from longshore.trainer.sanity import beats_reference
from longshore.trainer.segments import Segments
from longshore.trainer.split import group_codes

METRICS = {"rmse": "RMSE", "mae": "MAE", "r2": "R²"}
RANGES = 40
"""Columns whose training range is told."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version about to be registered: its manifest, what it learned from, how it did on test rows, its files' bytes.

    `trained` are event times (ms) of the rows it was fitted on, the earliest and the latest; None where they have none.
    """

    manifest: Mapping[str, Any]
    summary: Summary
    judged: Judged
    sizes: Mapping[str, int]
    trained: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What is said of a version."""

    title: str
    subtitle: str
    sentence: str
    tone: str
    state: str
    tiles: list[Tile]
    sections: list[Section]

    def html(self) -> str:
        """The solution report as one page."""
        top = header(self.title, self.subtitle, self.state, self.tone)
        first = headline(self.sentence, self.tiles, [])
        footer = (
            "Made by longshore when the version was trained. Intervals are of 95 %, rows of one entity counted once."
        )
        return document(self.title, CSS, top, [first, *(contents.html(each) for each in self.sections)], footer)

    def markdown(self) -> str:
        """The model card."""
        figures = [
            f"- {contents.text(f'{name}: {value}' + (f' ({note})' if note else ''))}"
            for name, value, note in self.tiles
        ]
        parts = [
            f"# {contents.text(self.title)}",
            contents.text(self.subtitle),
            contents.text(self.sentence),
            "\n".join(figures),
        ]
        return "\n\n".join([*parts, *(contents.markdown(each) for each in self.sections)]) + "\n"


def report_of(version: Version) -> Report:
    """What there is to say of a version that was judged on at least one test row."""
    judged, manifest = version.judged, version.manifest
    schema = judged.rows.columns.schema
    found, parts = by_segment(judged)
    worst = worst_section(judged, found, parts)
    if picture := segment_picture(judged, found):
        worst.pictures.insert(0, picture)
    sections = [
        of_manifest.purpose(manifest, schema),
        Section(
            "How good it is",
            _promises(version),
            [_metrics(version), *of_manifest.classes(manifest)],
            result_pictures(judged),
        ),
        worst,
        chosen(manifest.get("search") or {}),
        of_manifest.data(manifest),
        _limits(version),
        _touched(version, found, parts),
        of_manifest.serving(manifest, version.sizes),
    ]
    state, tone = _standing(version)
    return Report(
        title=f"A model of {schema.target}",
        subtitle=f"schema {schema.name}; dataset {manifest['dataset']['sha256'][:12]}, {manifest['dataset']['source']}",
        sentence=_sentence(version),
        tone=tone,
        state=state,
        tiles=_tiles(version),
        sections=[section for section in sections if section is not None],
    )


def _standing(version: Version) -> tuple[str, str]:
    """A few words, and whether they are good news: the constant that predicts the training mean must be beaten."""
    measured, constant = version.manifest["metrics"], version.manifest["baseline"]["rmse"]
    if measured["rmse_interval"][1] < constant:
        return f"{100 * (1 - measured['rmse'] / constant):.0f} % less error than the mean", "good"
    return (
        ("not clearly better than the mean", "watch") if measured["rmse"] < constant else ("worse than the mean", "bad")
    )


def _sentence(version: Version) -> str:
    measured, constant = version.manifest["metrics"], version.manifest["baseline"]
    return (
        f"On {count_text(len(version.judged.rows), 'test row')} that no model was fitted on, the root mean squared "
        f"error is {value_text(measured['rmse'])} (95 % interval {interval_text(measured['rmse_interval'])}); "
        f"always predicting the training mean, {value_text(constant['prediction'])}, makes "
        f"{value_text(constant['rmse'])}."
    )


def _tiles(version: Version) -> list[Tile]:
    measured = version.manifest["metrics"]
    tiles = []
    for key, name in METRICS.items():
        if key in measured:
            interval = measured.get(f"{key}_interval")
            tiles.append((name, value_text(measured[key]), interval_text(interval) if interval else ""))
    half = float(np.median(np.abs(version.judged.error)))
    return [*tiles, ("Median error", value_text(half), "half of the rows are closer")]


def _measured(version: Version) -> list[Table]:
    return [_metrics(version), *of_manifest.classes(version.manifest)]


def _metrics(version: Version) -> Table:
    measured = version.manifest["metrics"]
    drawn = measured.get("bootstrap") or {}
    rows = []
    for key, name in METRICS.items():
        if key in measured:
            student, resampled = measured.get(f"{key}_interval"), drawn.get(f"{key}_interval")
            rows.append((name, value_text(measured[key]), interval_text(student), interval_text(resampled)))
    resamples = f" of {drawn['resamples']:,} resamples" if "resamples" in drawn else ""
    caption = f"On the test rows. Intervals of 95 %: Student's, and the bootstrap's percentiles{resamples}."
    return Table(caption, ("metric", "value", "Student's t", "bootstrap"), rows)


def _promises(version: Version) -> list[str]:
    """How far from the truth predictions are, and what was promised of it."""
    told = [*_against_today(version), *spread_texts(version.judged)]
    for level, each in ((version.manifest.get("conformal") or {}).get("levels") or {}).items():
        if each.get("half_width") is not None and each.get("coverage") is not None:
            told.append(
                f"Prediction ± {value_text(each['half_width'])} is to hold {share_text(float(level))} of the truths; "
                f"of the test rows' it holds {share_text(each['coverage'])}."
            )
    return told


def _against_today(version: Version) -> list[str]:
    """How it compares with what the framing says is in use, and with what it asks for."""
    asked, judged = version.manifest.get("framing"), version.judged
    if not asked:
        return []
    framing, baseline = from_manifest(dict(asked)), float(version.manifest["baseline"]["prediction"])
    groups, loss = group_codes(judged.rows.columns.keys), LOSSES[framing.success.metric]
    checks = beats_reference(judged.rows, judged.prediction, groups, framing, baseline=baseline, loss=loss)
    return [f"{check.detail}." for check in checks]


def _limits(version: Version) -> Section:
    """Where nobody knows how good it is."""
    summary, judged = version.summary, version.judged
    told = []
    if version.trained is not None:
        first, last = version.trained
        told.append(
            f"It was fitted on records from {time_text(first)} to {time_text(last)}; the world may have changed since."
        )
    told += [f"{text}; the true value is not known there." for text in piled_texts(summary.target)]
    said, true = interval_text(reach(judged.prediction)), (summary.target.min, summary.target.max)
    told.append(
        f"Its predictions of the test rows are within {said}, the values it was fitted on within "
        f"{value_text(true[0])} … {value_text(true[1])}."
    )
    told += [f"{text}." for column in summary.numeric for text in piled_texts(column)]
    for column in summary.nominal:
        known = listed(list(column.categories), 12)
        told.append(f"{column.name}: it knows {known}. Any other is to it as if nothing were known.")
    rows = [
        (each.name, value_text(each.min, 4), value_text(each.max, 4), share_text(missing_share(each)))
        for each in summary.numeric[:RANGES]
    ]
    caption = "What it was fitted on; outside these ranges it was never judged. A missing value is imputed."
    return Section("Limits", told, [Table(caption, ("column", "from", "to", "missing"), rows)] if rows else [])


def _touched(version: Version, found: list[SegmentError], parts: Segments) -> Section:
    """For whom it errs to one side: what the data can tell of fairness, and what they cannot."""
    schema = version.judged.rows.columns.schema
    told = []
    if schema.place is not None:
        told.append(
            f"It uses the place ({' and '.join(schema.place)}): what is predicted depends on where somebody is."
        )
    one_sided = sorted((each for each in found if each.one_sided), key=lambda each: -abs(each.bias))
    for each in one_sided[:8]:
        way = "high" if each.bias > 0 else "low"
        told.append(
            f"{each.name}: too {way} by {value_text(abs(each.bias))} on average "
            f"({interval_text(each.bias_interval)}, {count_text(each.rows, 'test row')})."
        )
    if found:
        told.append(
            f"{len(one_sided)} of {count_text(len(found), 'segment')} are predicted too high or too low on average, at "
            f"95 % each: about {len(found) * 0.05:.1f} would be by chance alone."
        )
    if parts.insufficient_count:
        told.append(
            f"{count_text(parts.insufficient_count, 'segment')} have too few test rows to say anything of them."
        )
    words = [f"{field.name} ({field.description})" if field.description else field.name for field in schema.fields]
    told.append(
        f"The records hold {listed(words, 30)}. Groups that are no column of theirs cannot be looked at from here."
    )
    return Section("Whom it treats differently", told)


def finite(prediction: Floats) -> bool:
    """Whether there is something to report on: at least one row, and every prediction a number."""
    return bool(len(prediction)) and bool(np.isfinite(prediction).all())
